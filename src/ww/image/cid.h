#pragma once
// A content id: the codec in which a block is to be read, and the hash that it has. Two blocks with
// one content id are the same block, whoever hands them over.
//
// What is accepted: CIDv0 and CIDv1; sha2-256, blake3 (32 bytes) and identity (at most
// MAX_IDENTITY_BYTES); any codec, though only dag-pb and raw are read as files. Everything else is
// refused by name when it is parsed, so that a Cid can always be checked.
//
// The codec of content ids is Rust's (ffi/content.h). A value: immutable, cheap to move.

#include <kj/array.h>
#include <kj/hash.h>
#include <kj/string.h>
#include <stdint.h>

namespace ww {

namespace ffi { struct CidBytes; }

class Cid {
 public:
  static constexpr uint64_t RAW = 0x55, DAG_PB = 0x70, LIBP2P_KEY = 0x72;  // multicodec's
  static constexpr size_t MAX_BYTES = 200;            // of the binary form
  static constexpr size_t MAX_IDENTITY_BYTES = 128;   // that a content id may itself hold

  // Throws, naming the text and what is wrong with it.
  static Cid parse(kj::StringPtr text);

  // The binary form and nothing after it; throws likewise.
  static Cid fromBytes(kj::ArrayPtr<const kj::byte> bytes);

  // The same, for those of whom there are many: nothing where they are none, and why is not said.
  static kj::Maybe<Cid> find(kj::ArrayPtr<const kj::byte> bytes);

  // That of the block by what comes before the digest in its binary form, as bitswap sends it
  // (bitswap-message.h). Hashes the block. Nothing where there is no such content id.
  static kj::Maybe<Cid> findLike(kj::ArrayPtr<const kj::byte> prefix,
                                 kj::ArrayPtr<const kj::byte> block);

  // The one that they begin with: getBytes() says how many it took. Throws likewise.
  static Cid startOf(kj::ArrayPtr<const kj::byte> bytes);

  // That of a block with these bytes, sha2-256 and version 1.
  static Cid of(uint64_t codec, kj::ArrayPtr<const kj::byte> block);

  Cid clone() const;
  kj::ArrayPtr<const kj::byte> getBytes() const { return bytes; }
  uint64_t getCodec() const { return codec; }

  // Under which the DHT has it, whatever its version and its codec.
  kj::ArrayPtr<const kj::byte> getMultihash() const;
  kj::String toText() const;  // version 0 in Base58, version 1 in lower-case base32

  // The block itself, where the content id holds it.
  kj::Maybe<kj::ArrayPtr<const kj::byte>> findIdentity() const;

  // Whether this is the content id of these bytes. Hashes them.
  bool isOf(kj::ArrayPtr<const kj::byte> block) const;

  // By its binary form: versions 0 and 1 of one multihash differ.
  bool operator==(const Cid& other) const { return getBytes() == other.getBytes(); }
  kj::uint hashCode() const { return kj::hashCode(getBytes()); }

 private:
  explicit Cid(ffi::CidBytes&& cid);

  kj::Array<const kj::byte> bytes;
  uint64_t codec;
  kj::Maybe<size_t> identity;  // bytes at the end
};

}  // namespace ww
