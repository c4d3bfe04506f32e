#include <ww/base/base58.h>

#include <kj/vector.h>

namespace ww {

namespace {

constexpr char DIGITS[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr size_t MAX_TEXT = 256;

kj::Maybe<kj::uint> findDigit(char c) {
  for (kj::uint i = 0; i < sizeof(DIGITS) - 1; i++) {
    if (DIGITS[i] == c) return i;
  }
  return nullptr;
}

}  // namespace

kj::Maybe<kj::Array<kj::byte>> decodeBase58(kj::StringPtr text) {
  if (text.size() > MAX_TEXT) return nullptr;
  kj::Vector<kj::byte> bytes;  // the least first
  for (char c: text) {
    KJ_IF_MAYBE(digit, findDigit(c)) {
      kj::uint carry = *digit;
      for (auto& byte: bytes) {
        carry += kj::uint(byte) * 58;
        byte = carry;
        carry >>= 8;
      }
      for (; carry > 0; carry >>= 8) bytes.add(carry);
    } else {
      return nullptr;
    }
  }
  for (size_t i = 0; i < text.size() && text[i] == DIGITS[0]; i++) bytes.add(0);
  auto result = kj::heapArray<kj::byte>(bytes.size());
  for (size_t i = 0; i < result.size(); i++) result[i] = bytes[bytes.size() - 1 - i];
  return kj::mv(result);
}

kj::String encodeBase58(kj::ArrayPtr<const kj::byte> bytes) {
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
