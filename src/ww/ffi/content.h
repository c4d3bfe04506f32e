#pragma once
// The codecs of content addresses, which are Rust's (rust/content): content ids, the blocks of
// UnixFS 1, headers of CAR files. Values in, values out; nothing is kept. Any thread.
//
// What they are given is hostile. Each throws an exception that says what is wrong with it, but for
// find…, which are for input of which there is much: they throw nothing.

#include <kj/array.h>
#include <kj/string.h>
#include <stdint.h>

struct WwNode;

namespace ww::ffi {

// A content id in its binary form.
struct CidBytes {
  kj::Array<const kj::byte> bytes;
  uint64_t codec;
  kj::Maybe<size_t> identity;  // where it holds the block itself: how many bytes at its end
};

constexpr size_t MAX_CID_BYTES = 200;
constexpr size_t MAX_CAR_HEADER_BYTES = 64 << 10;

CidBytes parseCid(kj::StringPtr text);
CidBytes readCid(kj::ArrayPtr<const kj::byte> bytes);  // the one that they begin with
kj::Maybe<CidBytes> findCid(kj::ArrayPtr<const kj::byte> bytes);  // that they are, if they are one
// The block's, of which `prefix` is what comes before the digest; if there is such a one.
kj::Maybe<CidBytes> findCidLike(kj::ArrayPtr<const kj::byte> prefix,
                                kj::ArrayPtr<const kj::byte> block);
CidBytes cidOf(uint64_t codec, kj::ArrayPtr<const kj::byte> block);  // sha2-256, version 1
kj::String cidText(kj::ArrayPtr<const kj::byte> cid);

// Hashes the block.
bool isCidOf(kj::ArrayPtr<const kj::byte> cid, kj::ArrayPtr<const kj::byte> block);

// `text`, which is UTF-8, as it is where upper and lower case are one, in any script.
kj::String foldCase(kj::StringPtr text);

// What places a name in a HAMT of UnixFS, its highest bits first: MurmurHash3's x64 form.
uint64_t hamtHash(kj::StringPtr name);
constexpr uint64_t HAMT_HASH = 0x22;  // its number

enum class NodeKind: uint8_t { RAW, DIRECTORY, FILE, METADATA, SYMLINK, SHARD };

struct Link {
  kj::ArrayPtr<const char> name;  // UTF-8, and nothing else is known of it
  kj::ArrayPtr<const kj::byte> cid;
  uint64_t size;
};

// A block of dag-pb, as a file, a directory, or a part of either.
struct NodeParts {
  NodeKind kind = NodeKind::RAW;
  kj::Maybe<kj::ArrayPtr<const kj::byte>> data = nullptr;
  kj::Maybe<uint64_t> fileSize = nullptr;
  kj::Maybe<uint64_t> hashType = nullptr;
  kj::Maybe<uint64_t> fanout = nullptr;
  kj::Maybe<kj::uint> mode = nullptr;
  kj::ArrayPtr<const uint64_t> blockSizes = nullptr;
  kj::ArrayPtr<const Link> links = nullptr;
};

// One that was read: its slices are of the block, which it owns.
class Node final {
 public:
  explicit Node(kj::Array<const kj::byte> block);

  const NodeParts& getParts() const { return parts; }

  // What it takes of memory.
  size_t getFootprint() const {
    return block.size() + blockSizes.size() * sizeof(uint64_t) + links.size() * sizeof(Link);
  }

 private:
  kj::Array<const kj::byte> block;
  kj::Array<const uint64_t> blockSizes;
  kj::Array<const Link> links;
  NodeParts parts;
};

// The block, its links sorted by their names.
kj::Array<const kj::byte> encodeNode(const NodeParts& parts);

struct CarHeader {
  uint64_t version;
  kj::Array<CidBytes> roots;  // of the first version
};

CarHeader decodeCarHeader(kj::ArrayPtr<const kj::byte> header);
kj::Array<const kj::byte> encodeCarHeader(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> roots);

}  // namespace ww::ffi
