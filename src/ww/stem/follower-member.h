#pragma once
// One provider of a StemFollower: for follower.c++ and follower-member.c++ alone.

#include <ww/stem/follower.h>

namespace ww {

struct StemFollower::Member {
  static constexpr size_t MAX_HINTS = 256;

  explicit Member(kj::Own<ChainReader> reader): reader(kj::mv(reader)) {}

  // Nothing while it fails.
  kj::Maybe<const BlockRef&> findFinal() const {
    KJ_IF_MAYBE(v, view) {
      KJ_IF_MAYBE(block, v->final) return *block;
    }
    return nullptr;
  }

  // It may look now, unless it waits because it failed.
  void ring() {
    if (bell.get() != nullptr) bell->fulfill();
    isRung = true;
  }

  void recover() {
    state = ProviderStatus::ANSWERS;
    problem = nullptr;
  }

  ProviderStatus toStatus() const;

  kj::Own<ChainReader> reader;
  ProviderStatus::State state = ProviderStatus::NEW;
  kj::String problem;
  kj::Maybe<uint64_t> chainId;    // while it answers
  kj::Maybe<ChainView> view;      // likewise
  kj::Maybe<Vote> vote;           // in the current round
  bool hasAnswered = false;       // likewise: voted, or failed to
  kj::Maybe<BlockHash> claimed;   // likewise: of the block that it was asked about
  bool owesVote = false;          // it failed to: no good view makes up for it, a vote does
  kj::Vector<HeadLog> hints;      // events that were pushed, above what is final
  kj::TimePoint moved = kj::origin<kj::TimePoint>();       // its latest block
  kj::Maybe<kj::TimePoint> saidAt;                         // that it disagrees
  bool isSaid = false;            // likewise, and not that it agrees again
  kj::uint failuresInRow = 0, refusals = 0;
  uint64_t failures = 0, disagreements = 0;
  kj::uint oddLooks = 0;          // in a row, at which it calls final what it did not vote for
  bool isRung = false;
  bool isAudited = false;         // its events are being read
  kj::Own<kj::PromiseFulfiller<void>> bell;
};

}  // namespace ww
