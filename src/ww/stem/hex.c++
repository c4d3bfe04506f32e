#include <ww/stem/hex.h>

#include <kj/encoding.h>

namespace ww {
namespace {

kj::Maybe<kj::ArrayPtr<const char>> digitsOf(kj::StringPtr text) {
  if (!text.startsWith("0x")) return nullptr;
  return text.slice(2).asArray();
}

kj::Maybe<kj::uint> valueOf(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return nullptr;
}

template <typename T>
kj::Maybe<T> parseFixed(kj::StringPtr text) {
  T result;
  if (text.size() != 2 + 2 * result.bytes.size()) return nullptr;
  KJ_IF_MAYBE(bytes, parseHexData(text)) {
    for (size_t i = 0; i < result.bytes.size(); i++) result.bytes[i] = (*bytes)[i];
    return result;
  }
  return nullptr;
}

}  // namespace

kj::Maybe<uint64_t> parseQuantity(kj::StringPtr text) {
  KJ_IF_MAYBE(digits, digitsOf(text)) {
    if (digits->size() == 0 || digits->size() > 16) return nullptr;
    if ((*digits)[0] == '0' && digits->size() > 1) return nullptr;
    uint64_t result = 0;
    for (auto c: *digits) {
      KJ_IF_MAYBE(value, valueOf(c)) {
        result = result << 4 | *value;
      } else {
        return nullptr;
      }
    }
    return result;
  }
  return nullptr;
}

kj::String quantityOf(uint64_t value) { return kj::str("0x", kj::hex(value)); }

kj::Maybe<kj::Array<kj::byte>> parseHexData(kj::StringPtr text) {
  KJ_IF_MAYBE(digits, digitsOf(text)) {
    if (digits->size() % 2 != 0) return nullptr;
    auto decoded = kj::decodeHex(*digits);
    if (decoded.hadErrors) return nullptr;
    return kj::Array<kj::byte>(kj::mv(decoded));
  }
  return nullptr;
}

kj::String hexDataOf(kj::ArrayPtr<const kj::byte> bytes) {
  return kj::str("0x", kj::encodeHex(bytes));
}

kj::Maybe<BlockHash> parseBlockHash(kj::StringPtr text) { return parseFixed<BlockHash>(text); }
kj::Maybe<EthAddress> parseEthAddress(kj::StringPtr text) { return parseFixed<EthAddress>(text); }

}  // namespace ww
