#pragma once
// One provider of a StemFollower: for the files of follower.h alone.
//
//   state      begins                                    ends
//   NEW                                                  with the first look that is answered
//   ANSWERS    where another ends
//   FAILS      a look failed (isInSight is false then),  a look is answered, and no vote is owed;
//              or a vote (owesVote)                      a vote is cast
//   LACKS      it is of another chain, or without such   a look is answered
//              a final block; nothing is kept of it
//   DISAGREES  its word was another's                    it votes as a quorum does, or a look fails
//   FROZEN     its latest or final block stands          that moves, or a look fails

#include <ww/stem/follower.h>

namespace ww {

struct StemFollower::Member {
  static constexpr size_t MAX_HINTS = 256;

  explicit Member(kj::Own<ChainReader> reader): reader(kj::mv(reader)) {}

  // What a look showed.
  struct Sight {
    uint64_t chainId;
    ChainView view;
    kj::TimePoint at;
    kj::Maybe<uint64_t> highest;  // final block that it told of lately
    kj::TimePoint highestAt;
  };

  // What it said in the current round.
  struct Ballot {
    kj::Maybe<Vote> vote;
    kj::Maybe<BlockHash> claimed;  // the block's hash, where it failed to vote after that
    bool isCompared = false;       // with what was decided
    bool isBeyond = false;         // it has no states of so low a block: it will not vote
  };

  // Lines of the log: some at once, in the long run one a minute.
  struct Lines {
    static constexpr kj::Duration INTERVAL = 1 * kj::MINUTES;
    static constexpr kj::uint BURST = 4;
    kj::Maybe<kj::TimePoint> last;
    kj::TimePoint free = kj::origin<kj::TimePoint>();

    bool take(kj::TimePoint now) {
      if (last == nullptr) free = now - (BURST - 1) * INTERVAL;
      if (free > now) return false;
      free = kj::max(free, now - (BURST - 1) * INTERVAL) + INTERVAL;
      last = now;
      return true;
    }
    bool isQuiet(kj::TimePoint now) const {
      KJ_IF_MAYBE(at, last) return now - *at >= INTERVAL;
      return true;
    }
  };

  // Nothing while its looks fail.
  kj::Maybe<const ChainView&> findView() const {
    if (!isInSight) return nullptr;
    return sight.map([](const Sight& s) -> const ChainView& { return s.view; });
  }
  kj::Maybe<const BlockRef&> findFinal() const {
    KJ_IF_MAYBE(v, findView()) {
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
  kj::Maybe<uint64_t> chainId;    // while its looks are answered
  kj::TimePoint chainIdAt = kj::origin<kj::TimePoint>();   // when it was last asked for
  kj::Maybe<Sight> sight;         // the last
  bool isInSight = false;         // the last look was answered: `sight` is of it
  kj::TimePoint moved = kj::origin<kj::TimePoint>();       // its latest block
  kj::TimePoint finalMoved = kj::origin<kj::TimePoint>();  // its final one
  kj::Maybe<Question> asked;      // its vote is under way
  Ballot ballot;
  bool owesVote = false;          // it failed to: no good look makes up for it, a vote does
  kj::uint oddLooks = 0;          // in a row, at which it calls final what it did not vote for
  // What is not final yet: events that were pushed; or the one head that it says when it is asked,
  // with the block in which it said so first.
  kj::Vector<HeadLog> hints;
  kj::Maybe<BlockRef> aheadOf;    // the latest block whose head it was asked for
  bool isLookingAhead = false;
  kj::uint failuresInRow = 0, refusals = 0;
  uint64_t failures = 0, disagreements = 0;
  ProviderStatus::State told = ProviderStatus::NEW;        // in the log
  bool hasNews = false;           // it disagreed once more since
  Lines lines;
  bool isAudited = false;         // its events are being read
  bool isRung = false;
  kj::Own<kj::PromiseFulfiller<void>> bell;
};

}  // namespace ww
