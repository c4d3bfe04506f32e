#include <ww/base/protobuf.h>

#include <ww/base/error.h>

namespace ww {
namespace {

constexpr kj::uint BITS = 7, TYPE_BITS = 3;

[[noreturn]] void refuse(kj::StringPtr why) {
  kj::throwFatalException(badInput(kj::str("what came is no protobuf: ", why)));
}

kj::ArrayPtr<const kj::byte> take(kj::ArrayPtr<const kj::byte>& bytes, uint64_t size) {
  if (size > bytes.size()) refuse("it ends within a field");
  auto taken = bytes.slice(0, size);
  bytes = bytes.slice(size, bytes.size());
  return taken;
}

}  // namespace

uint64_t takeVarint(kj::ArrayPtr<const kj::byte>& bytes) {
  uint64_t value = 0;
  for (kj::uint shift = 0;; shift += BITS) {
    if (bytes.size() == 0) refuse("it ends within a number");
    auto part = bytes[0];
    bytes = bytes.slice(1, bytes.size());
    bool isTooLong = shift == 9 * BITS && part > 1;
    bool isPadded = shift > 0 && part == 0;
    if (isTooLong || isPadded) refuse("a number is longer than any");
    value |= uint64_t(part & 0x7f) << shift;
    if ((part & 0x80) == 0) return value;
  }
}

void addVarint(kj::Vector<kj::byte>& out, uint64_t value) {
  for (; value >= 0x80; value >>= BITS) out.add(kj::byte(value | 0x80));
  out.add(kj::byte(value));
}

bool ProtobufReader::next() {
  if (rest.size() == 0) return false;
  auto tag = takeVarint(rest);
  field = tag >> TYPE_BITS;
  type = tag & ((1 << TYPE_BITS) - 1);
  if (field == 0) refuse("a field without a number");
  switch (type) {
    case VARINT: number = takeVarint(rest); break;
    case BYTES: {
      auto size = takeVarint(rest);
      bytes = take(rest, size);
      break;
    }
    case FIXED64: take(rest, sizeof(uint64_t)); break;
    case FIXED32: take(rest, sizeof(uint32_t)); break;
    default: refuse("a field of a type that there is not");
  }
  return true;
}

uint64_t ProtobufReader::getNumber() const {
  if (type != VARINT) refuse(kj::str("field ", field, " is no number"));
  return number;
}

kj::ArrayPtr<const kj::byte> ProtobufReader::getBytes() const {
  if (type != BYTES) refuse(kj::str("field ", field, " is no bytes"));
  return bytes;
}

void ProtobufWriter::add(uint64_t field, uint64_t number) {
  addVarint(out, field << TYPE_BITS);
  addVarint(out, number);
}

void ProtobufWriter::add(uint64_t field, kj::ArrayPtr<const kj::byte> bytes) {
  addVarint(out, field << TYPE_BITS | 2);
  addVarint(out, bytes.size());
  out.addAll(bytes);
}

}  // namespace ww
