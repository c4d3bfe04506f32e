#include <ww/base/text.h>

#include <kj/vector.h>

namespace ww {
namespace {

// The length of the UTF-8 sequence at the start of `bytes`, 0 if there is none.
size_t sequenceLength(kj::ArrayPtr<const kj::byte> bytes) {
  auto first = bytes[0];
  if (first < 0x80) return 1;
  size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || bytes.size() < length) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((bytes[i] & 0xc0) != 0x80) return 0;
  }
  auto second = bytes[1];
  if (first == 0xe0 && second < 0xa0) return 0;   // overlong
  if (first == 0xed && second >= 0xa0) return 0;  // a surrogate
  if (first == 0xf0 && second < 0x90) return 0;   // overlong
  if (first == 0xf4 && second >= 0x90) return 0;  // above U+10FFFF
  return length;
}

// C1 control characters, U+0080 to U+009F, command some terminals.
bool isC1(kj::ArrayPtr<const kj::byte> bytes) { return bytes[0] == 0xc2 && bytes[1] < 0xa0; }

// Marks of direction, separators of lines, and what takes no place: a name that has them looks like
// another.
bool isUnseen(kj::ArrayPtr<const kj::byte> bytes) {
  if (bytes.size() == 2) return bytes[0] == 0xd8 && bytes[1] == 0x9c;  // U+061C
  if (bytes.size() != 3) return false;
  kj::uint c = (bytes[0] & 0x0fu) << 12 | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu);
  return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

}  // namespace

bool isUtf8(kj::ArrayPtr<const kj::byte> bytes) {
  while (bytes.size() > 0) {
    auto length = sequenceLength(bytes);
    if (length == 0) return false;
    bytes = bytes.slice(length, bytes.size());
  }
  return true;
}

kj::String escapeText(kj::StringPtr text) {
  static constexpr char HEX[] = "0123456789abcdef";
  kj::Vector<char> out(text.size());
  auto escapeByte = [&](kj::byte byte) {
    out.addAll("\\x"_kj);
    out.add(HEX[byte >> 4]);
    out.add(HEX[byte & 15]);
  };
  auto bytes = text.asBytes();
  while (bytes.size() > 0) {
    auto length = sequenceLength(bytes);
    auto c = bytes[0];
    if (c == '\n') {
      out.addAll("\\n"_kj);
    } else if (c == '\t') {
      out.addAll("\\t"_kj);
    } else if (c == '\\') {
      out.addAll("\\\\"_kj);
    } else if (length == 0 || c < 0x20 || c == 0x7f) {
      escapeByte(c);
      length = 1;
    } else if ((length == 2 && isC1(bytes)) || isUnseen(bytes.slice(0, length))) {
      for (auto byte: bytes.slice(0, length)) escapeByte(byte);
    } else {
      out.addAll(bytes.slice(0, length).asChars());
    }
    bytes = bytes.slice(kj::max(length, size_t(1)), bytes.size());
  }
  out.add('\0');
  return kj::String(out.releaseAsArray());
}

kj::String folderOf(kj::StringPtr path) {
  KJ_IF_MAYBE(slash, path.findLast('/')) {
    return kj::heapString(path.slice(0, kj::max(*slash, size_t(1))));
  }
  return kj::str(".");
}

kj::String shorten(kj::StringPtr text) {
  constexpr size_t MOST = 200;
  if (text.size() <= MOST) return kj::str(text);
  size_t end = MOST;
  while (end > 0 && (text[end] & 0xc0) == 0x80) end--;  // not within a character
  return kj::str(text.slice(0, end), "[...]");
}

kj::String quoteJson(kj::StringPtr value) {
  static constexpr char HEX[] = "0123456789abcdef";
  // The escapes of text are JSON's own for \n and \t; a backslash of it becomes two.
  auto escaped = isUtf8(value.asBytes()) ? kj::str(value) : escapeText(value);
  kj::Vector<char> out(escaped.size() + 2);
  auto escapeUnit = [&](kj::uint unit) {
    out.addAll("\\u"_kj);
    for (int shift = 12; shift >= 0; shift -= 4) out.add(HEX[unit >> shift & 15]);
  };
  auto bytes = escaped.asBytes();
  while (bytes.size() > 0) {
    auto length = sequenceLength(bytes);
    auto c = bytes[0];
    if (c == '"' || c == '\\') {
      out.add('\\');
      out.add(c);
    } else if (c < 0x20 || c == 0x7f) {
      escapeUnit(c);
    } else if (length == 2 && (isC1(bytes) || isUnseen(bytes.slice(0, 2)))) {
      escapeUnit((c & 0x1fu) << 6 | (bytes[1] & 0x3fu));
    } else if (length == 3 && isUnseen(bytes.slice(0, 3))) {
      escapeUnit((c & 0x0fu) << 12 | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu));
    } else {
      out.addAll(bytes.slice(0, length).asChars());
    }
    bytes = bytes.slice(length, bytes.size());
  }
  return kj::str('"', kj::ArrayPtr<const char>(out), '"');
}

}  // namespace ww
