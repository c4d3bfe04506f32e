#pragma once
// What several providers say of one height, and what so many of them agree on.

#include <kj/vector.h>
#include <ww/stem/chain.h>

namespace ww {

struct Vote {
  uint64_t chainId = 0;
  BlockRef block;
  kj::Maybe<StemHead> head;     // at the end of that block; none: no contract is there
  kj::Maybe<BlockHash> anchor;  // of an older block that was final before, where one was asked for

  bool operator==(const Vote& other) const;
  Vote clone() const {
    return {chainId, block, head.map([](const StemHead& h) { return h.clone(); }), anchor};
  }
};

// The highest block that `quorum` of them have reached. `finals`: one of each provider that tells.
kj::Maybe<uint64_t> heightOf(kj::ArrayPtr<const uint64_t> finals, kj::uint quorum);

// The heights at which `quorum` of them may agree, whoever lies of fewer: that one first, and below
// it those that more have reached, in turn, each once. The last is one that as many honest ones
// have reached, even where all of the liars claim the highest. Empty: too few tell.
kj::Array<uint64_t> heightsOf(kj::ArrayPtr<const uint64_t> finals, kj::uint quorum);

// The index of one of the votes that `quorum` of them are equal to; nothing while there are fewer,
// or if that is so of two that differ. Null: no vote yet.
kj::Maybe<size_t> agreedAmong(kj::ArrayPtr<const kj::Maybe<Vote>> votes, kj::uint quorum);

// Are there two that differ, and of each `quorum` that are equal?
bool haveQuorumEach(kj::ArrayPtr<const kj::Maybe<Vote>> votes, kj::uint quorum);

// Most of `providers`.
constexpr kj::uint majorityOf(kj::uint providers) { return providers / 2 + 1; }

}  // namespace ww
