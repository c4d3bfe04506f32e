#include <ww/base/base58.h>

#include <kj/vector.h>

namespace ww {

kj::String encodeBase58(kj::ArrayPtr<const kj::byte> bytes) {
  static constexpr char DIGITS[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  kj::Vector<kj::byte> digits;  // of base 58, the least first
  for (auto byte: bytes) {
    kj::uint carry = byte;
    for (auto& digit: digits) {
      carry += kj::uint(digit) << 8;
      digit = carry % 58;
      carry /= 58;
    }
    for (; carry > 0; carry /= 58) digits.add(carry % 58);
  }
  kj::Vector<char> text;
  for (size_t i = 0; i < bytes.size() && bytes[i] == 0; i++) text.add(DIGITS[0]);
  for (size_t i = digits.size(); i > 0; i--) text.add(DIGITS[digits[i - 1]]);
  text.add('\0');
  return kj::String(text.releaseAsArray());
}

}  // namespace ww
