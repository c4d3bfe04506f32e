#pragma once
// Follows the head of one Stem contract through several providers, none of which is believed alone.
//
// Each provider is watched by itself: what its latest and its final block are, at an interval and
// whenever it pushes a hint. The height that counts is the highest final one that a quorum has
// reached; where none agrees there, the next lower ones in turn, and that one again. There each is
// asked, by the block's hash, for the contract's head; what a quorum agrees on is kept
// (CursorStore), and then is the epoch. Events of the contract are hints, and are held against the
// head: a provider whose word differs is named.
//
// What was final stays final. Should a quorum agree, twice, that a final block was replaced, or
// that the head went back, the source fails with `reorg-too-deep:`, for good: the node that follows
// it ends all authority.
//
// A provider that fails is asked again later, and holds no other up. Lives on one event loop.

#include <array>
#include <iterator>
#include <kj/function.h>
#include <kj/timer.h>
#include <ww/base/log.h>
#include <ww/epoch/head-source.h>
#include <ww/epoch/pending-heads.h>
#include <ww/stem/chain-reader.h>
#include <ww/stem/cursor.h>
#include <ww/stem/quorum.h>

namespace ww {

// How the reason begins with which nextAfter() and start() reject once what was final is not.
constexpr kj::StringPtr REORG_TOO_DEEP = "reorg-too-deep"_kj;

struct FollowerOptions {
  EthAddress contract;
  Finality finality;
  kj::uint quorum = 1;
  kj::Maybe<uint64_t> chainId;  // the only one that counts; none: that which was followed first
  kj::Duration interval = 4 * kj::SECONDS;  // between looks at one provider
};

struct ProviderStatus {
  kj::StringPtr name;
  enum State { NEW, ANSWERS, FAILS, LACKS, DISAGREES, FROZEN } state = NEW;
  kj::StringPtr problem;        // of the last four, for a person
  uint64_t latest = 0;          // 0: not known
  uint64_t final = 0;
  uint64_t failures = 0;        // since the start
  uint64_t disagreements = 0;
};

struct FollowerStatus {
  kj::Maybe<uint64_t> chainId;   // once there is an epoch
  kj::Maybe<Epoch> epoch;
  uint64_t latest = 0;           // that a quorum has reached; 0: not known
  uint64_t final = 0;            // that was acted upon
  kj::Maybe<uint64_t> pendingSeq;  // of the newest head that a provider told of, not final yet
  kj::Array<ProviderStatus> providers;
  kj::Maybe<kj::String> problem;   // why this node's view may be old, or has ended
};

// How long it took from when a quorum had reached a block with a new head to its adoption.
struct LatencyCounts {
  static constexpr double BOUNDS[] = {0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60};  // seconds
  std::array<uint64_t, std::size(BOUNDS) + 1> counts{};                     // the last: above all
  double sum = 0;

  void add(double seconds);
};

class StemFollower final: public HeadSource,
                          public PendingHeads,
                          private kj::TaskSet::ErrorHandler {
 public:
  // A provider that lags so long is frozen; a chain that stands so long is one to be told of.
  static constexpr kj::Duration LATEST_PATIENCE = 5 * kj::MINUTES;
  static constexpr kj::Duration FINAL_PATIENCE = 30 * kj::MINUTES;
  // So long too few may answer, or be behind what was followed, before it is told of.
  static constexpr kj::Duration REACH_PATIENCE = 30 * kj::SECONDS;
  static constexpr kj::uint ROUNDS_IN_VAIN = 2;  // one after the other: likewise
  // So long all providers are waited for before the first height is chosen; and so long, where
  // those that are heard are not at one height, as a first look may take.
  static constexpr kj::Duration FIRST_PATIENCE = 3 * kj::SECONDS;
  static constexpr kj::Duration FIRST_PATIENCE_APART = 30 * kj::SECONDS;

  // References outlive it. `random` gives any number: for the times between tries.
  StemFollower(FollowerOptions options, kj::Array<kj::Own<ChainReader>> readers,
               CursorStore& store, kj::Timer& timer, kj::Function<uint64_t()> random,
               Logger& logger);
  ~StemFollower() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(StemFollower);

  // Resolves once a quorum has agreed on an epoch. Rejects when that cannot be: with what was kept
  // in contradiction to the chain, or with too many providers that lack what is asked of them.
  // First of all, once.
  kj::Promise<void> start();

  Epoch current() override;
  kj::Promise<Epoch> nextAfter(uint64_t seq) override;

  // What one provider alone has pushed, or says of its latest block.
  kj::Maybe<kj::Array<const kj::byte>> findPending() const override;
  kj::Promise<void> onPending() override { return hinted.addBranch(); }

  FollowerStatus getStatus() const;

  // Why a node that follows this is not ready; nothing if it is.
  kj::Maybe<kj::String> findProblem() const;

  uint64_t disagreementCount() const;
  const LatencyCounts& getLatencies() const { return latencies; }
  const FollowerOptions& getOptions() const { return options; }

 private:
  struct Member;

  // What all who have reached the height are asked.
  struct Question {
    uint64_t height = 0;
    kj::Maybe<uint64_t> anchor;
    bool operator==(const Question& other) const {
      return height == other.height && anchor == other.anchor;
    }
  };

  struct Round {
    enum State { IDLE, ASKING, DECIDED, UNDECIDED } state = IDLE;
    Question question;
    bool isTop = false;  // it is about the highest block that a quorum has reached
    kj::TimePoint since = kj::origin<kj::TimePoint>();
  };

  // follower-member.c++: what is asked of one provider, and when.
  kj::Promise<void> watch(Member& member);
  kj::Promise<void> look(Member& member);
  kj::Promise<void> rest(Member& member);
  kj::Promise<void> listen(Member& member);
  bool isMeant(Member& member, uint64_t chainId);
  bool isAsked(const Member& member) const;
  kj::Promise<void> vote(Member& member);
  kj::Promise<void> lookAhead(Member& member);
  kj::Promise<Vote> ask(Member& member, const Question& question, kj::Maybe<BlockHash>& claimed);
  void take(Member& member, ChainView view);

  // follower-standing.c++: what is held of each.
  void heard(Member& member);
  void fail(Member& member, const kj::Exception& exception);
  void failVote(Member& member, const kj::Exception& exception);
  void lack(Member& member, kj::String what);
  void agree(Member& member);
  void disagree(Member& member, kj::String how);
  void tell(Member& member);
  void checkFinal(Member& member);
  void updateLatest();
  void setLatest(uint64_t latest);
  kj::Maybe<kj::String> whyFrozen(const Member& member) const;
  void takeHint(Member& member, HeadLog hint);
  void takeLatest(Member& member, const BlockRef& block, kj::Maybe<StemHead> head);
  void announceHint();
  kj::Maybe<const StemHead&> newestHint() const;
  void checkFarHints(Member& member);
  void checkHints(Member& member, const Vote& agreed);

  // follower-round.c++
  void beginRound();
  bool isHeardOut(kj::ArrayPtr<const uint64_t> finals) const;
  bool allHeard() const;
  bool isRecent(const Member& member) const;
  bool isComparable(const Member& member) const;
  kj::Array<uint64_t> comparableFinals() const;
  kj::Array<uint64_t> reachedFinals() const;
  size_t nextOf(kj::ArrayPtr<const uint64_t> heights) const;
  bool hasTriedFirst() const;
  bool isWorthARound(uint64_t height) const;
  bool isReplaced(uint64_t height) const;
  bool isAwaited(const Member& member) const;
  bool isRoundOver() const;
  void tally();
  void endRound();
  kj::Array<kj::Maybe<Vote>> currentVotes() const;
  void countInVain();
  void decide(const Vote& agreed);
  void compare(Member& member);
  kj::Maybe<kj::String> contradiction(const Vote& vote) const;

  // follower.c++
  kj::Promise<void> adopt(Vote vote);
  kj::Promise<void> keep(StemCursor next);
  kj::Promise<void> saveAll();
  void setUnkept(kj::Maybe<kj::String> why);
  kj::Promise<void> audit(Member& member, uint64_t from, Vote agreed);
  void leaveOtherChains();
  kj::Maybe<kj::String> whyItCannotBegin() const;
  void close(kj::String why);
  void announce();
  void taskFailed(kj::Exception&& exception) override;

  // follower-words.c++
  kj::Promise<void> sayProgress();
  kj::String whyItWaits() const;
  kj::Maybe<kj::String> findObstacle() const;
  kj::String describeRound() const;
  kj::String describeChains() const;
  kj::String complaints(bool ofVoters) const;
  void watchReach();
  kj::Duration reachPatience() const;

  const FollowerOptions options;
  CursorStore& store;
  kj::Timer& timer;
  kj::Function<uint64_t()> random;
  Logger& logger;
  kj::Array<kj::Own<Member>> members;
  kj::Maybe<StemCursor> cursor;
  Round round;
  kj::Maybe<Vote> decided;        // of the last round that was
  kj::Maybe<uint64_t> auditFrom;  // in a round that brought a new head: the first block of events
  kj::uint roundsInVain = 0;      // since the last that was decided: they choose the next height
  kj::String whyInVain;           // of the last of them
  kj::Maybe<kj::TimePoint> outOfReachSince;  // that findObstacle() has something
  bool isObstacleSaid = false;
  bool isSettled = false;         // an epoch was agreed on since the start
  bool isAdopting = false;
  bool isDoubted = false;         // the last round spoke against what was final
  bool isAbsent = false;          // the contract, and that was said
  kj::Maybe<StemCursor> unsaved;  // waits for the save that is under way: the newest alone
  bool isSaving = false;
  kj::ForkedPromise<void> saving = nullptr;
  kj::Maybe<kj::String> unkept;   // why the cursor could not be saved
  uint64_t topLatest = 0;         // that a quorum has told of lately
  kj::Maybe<kj::TimePoint> belowTopSince;
  kj::TimePoint startedAt = kj::origin<kj::TimePoint>();
  kj::TimePoint latestMoved = kj::origin<kj::TimePoint>();
  kj::TimePoint finalMoved = kj::origin<kj::TimePoint>();
  kj::Maybe<kj::TimePoint> newsSince;  // a quorum has reached a block that was not acted upon
  kj::Maybe<kj::Exception> failure;
  kj::Own<kj::PromiseFulfiller<void>> changedFulfiller;
  kj::ForkedPromise<void> changed;
  kj::Own<kj::PromiseFulfiller<void>> hintedFulfiller;
  kj::ForkedPromise<void> hinted;
  LatencyCounts latencies;
  kj::TaskSet tasks;

  StemFollower(FollowerOptions options, kj::Array<kj::Own<ChainReader>> readers,
               CursorStore& store, kj::Timer& timer, kj::Function<uint64_t()> random,
               Logger& logger, kj::PromiseFulfillerPair<void> paf,
               kj::PromiseFulfillerPair<void> hintPaf);
};

}  // namespace ww
