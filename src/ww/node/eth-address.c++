#include <ww/node/eth-address.h>

#include <ctype.h>
#include <ww/base/text.h>
#include <ww/ffi/eth.h>
#include <ww/stem/hex.h>

namespace ww {
namespace {

bool hasBothCases(kj::StringPtr digits) {
  bool hasUpper = false, hasLower = false;
  for (auto c: digits) {
    hasUpper = hasUpper || (c >= 'A' && c <= 'F');
    hasLower = hasLower || (c >= 'a' && c <= 'f');
  }
  return hasUpper && hasLower;
}

}  // namespace

kj::String toChecksummed(const EthAddress& address) {
  auto text = toText(address);
  auto digits = text.asArray().slice(2, text.size());
  auto hash = ffi::keccak256(digits.asBytes());
  for (size_t i = 0; i < digits.size(); i++) {
    kj::uint nibble = i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15;
    if (nibble >= 8) digits[i] = char(toupper(digits[i]));
  }
  return text;
}

kj::OneOf<EthAddress, kj::String> readEthAddress(kj::StringPtr text) {
  KJ_IF_MAYBE(address, parseEthAddress(text)) {
    auto right = toChecksummed(*address);
    if (hasBothCases(text.slice(2)) && text != right) {
      return kj::str(text, " is mistyped: its capital letters are a checksum (EIP-55), and do not "
                     "fit. Copy it again; if each digit is right, it is written ", right);
    }
    return *address;
  }
  return kj::str(shorten(text), " is no address of a contract: 0x and 40 hex digits");
}

}  // namespace ww
