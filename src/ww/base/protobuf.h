#pragma once
// Protocol Buffers' wire format, field by field, as far as small messages of others need it:
// varints and bytes. No schema, and nothing allocated to read: what is read are slices of input.

#include <kj/array.h>
#include <kj/vector.h>
#include <stdint.h>

namespace ww {

// A varint of at most 64 bits at the beginning of `bytes`, which is then what follows. Throws where
// there is none, or it is longer than it has to be.
uint64_t takeVarint(kj::ArrayPtr<const kj::byte>& bytes);
void addVarint(kj::Vector<kj::byte>& out, uint64_t value);

class ProtobufReader final {
 public:
  explicit ProtobufReader(kj::ArrayPtr<const kj::byte> message): rest(message) {}

  // False at the end. Throws for what is none.
  bool next();

  // Of the field that next() came to. The last two throw where its type is another.
  uint64_t getField() const { return field; }
  uint64_t getNumber() const;
  kj::ArrayPtr<const kj::byte> getBytes() const;

 private:
  enum Type: uint64_t { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

  kj::ArrayPtr<const kj::byte> rest, bytes;
  uint64_t field = 0, number = 0;
  uint64_t type = VARINT;
};

class ProtobufWriter final {
 public:
  void add(uint64_t field, uint64_t number);
  void add(uint64_t field, kj::ArrayPtr<const kj::byte> bytes);
  kj::ArrayPtr<const kj::byte> getBytes() const { return out; }
  kj::Array<kj::byte> finish() { return out.releaseAsArray(); }

 private:
  kj::Vector<kj::byte> out;
};

}  // namespace ww
