#pragma once
// A message of /ipfs/bitswap/1.2.0: what its sender wants, has, has not, and gives. On a stream
// each stands behind its length.

#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/vector.h>
#include <ww/image/block.h>

namespace ww {

constexpr kj::StringPtr BITSWAP = "/ipfs/bitswap/1.2.0"_kj;

// Several blocks, as others gather them, and what is around those.
constexpr size_t MAX_BITSWAP_BYTES = (4 << 20) + (64 << 10);

// Wants, presences and blocks of one message. More are passed over, as others do: not looked at.
constexpr size_t MAX_BITSWAP_ENTRIES = 1024;

struct BitswapMessage {
  struct Want {
    Cid cid;
    bool cancel = false;
    bool blockItself = true;   // else whether it is there
    bool sayIfNot = false;
  };
  struct Presence {
    Cid cid;
    bool has = false;
  };
  struct Block {
    kj::Array<const kj::byte> prefix;  // of its content id: all but the digest
    kj::Array<const kj::byte> bytes;
  };

  kj::Vector<Want> wants;
  kj::Vector<Presence> presences;
  kj::Vector<Block> blocks;

  // Content ids that are well-formed and that no Cid can be, of other hashes say, are passed over.
  // Throws for what is no message, at the first content id that is none too: what a message costs
  // its reader is one exception.
  static BitswapMessage decode(kj::ArrayPtr<const kj::byte> bytes);

  // With its length before it.
  kj::Array<kj::byte> encode() const;

  static kj::Array<const kj::byte> prefixOf(const Cid& cid);
};

// The next message's bytes; nothing where the stream ends between two. Memory grows as they come,
// not as their length says, and `onBytes` is told of each piece. Rejects for more than `maxBytes`
// says once the length is known, and where the stream ends within one.
kj::Promise<kj::Maybe<kj::Array<kj::byte>>> readBitswap(
    kj::AsyncInputStream& stream, kj::Function<size_t()> maxBytes,
    kj::Function<void(size_t)> onBytes = [](size_t) {});

}  // namespace ww
