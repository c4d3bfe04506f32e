// Rounds of a StemFollower: which height is asked about, and what comes of the votes.

#include <kj/debug.h>
#include <ww/stem/follower-member.h>
#include <ww/stem/hex.h>

namespace ww {
namespace {

// After this a round takes what it has; but it waits longer for a vote that is under way, and after
// rounds in vain, so that one that takes all of its time-outs gets it in.
constexpr kj::Duration ROUND_PATIENCE = 15 * kj::SECONDS;
constexpr kj::uint MAX_DOUBLINGS = 2;  // of it, each after two rounds
constexpr kj::Duration VOTE_PATIENCE = 30 * kj::SECONDS;

// One that fails may be back in a moment: its block counts for so long.
constexpr kj::Duration SIGHT_LIFE = 1 * kj::MINUTES;

// At the highest block that a quorum has reached, before a lower one may be the first epoch.
constexpr kj::uint FIRST_TRIES = 2;
constexpr kj::Duration FIRST_TRIES_PATIENCE = 1 * kj::MINUTES;

kj::String epochText(const kj::Maybe<StemHead>& head) {
  KJ_IF_MAYBE(h, head) return kj::str("head ", h->seq, " (", hexDataOf(h->value), ")");
  return kj::str("no contract");
}

}  // namespace

void StemFollower::beginRound() {
  if (failure != nullptr || isAdopting) return;
  if (round.state == Round::ASKING) {
    if (!isRoundOver()) return;
    tally();
    if (round.state != Round::UNDECIDED) return;
  }
  auto finals = reachedFinals();
  auto heights = heightsOf(finals, options.quorum);
  if (heights.size() == 0 || !isHeardOut(finals)) return;
  auto next = nextOf(heights);
  if (!isWorthARound(heights[next])) return;
  auto now = timer.now();
  if (newsSince == nullptr) newsSince = now;
  auditFrom = nullptr;
  auto anchor = cursor.map([](const StemCursor& kept) { return kept.final.number; });
  round = {Round::ASKING, {heights[next], anchor}, next == 0, now};
  for (auto& member: members) {
    member->ballot = {};
    member->ring();
  }
}

// Before there is an epoch: may a height be chosen? Not that of the two that are fastest, nor one
// that is low for want of one that is slow.
bool StemFollower::isHeardOut(kj::ArrayPtr<const uint64_t> finals) const {
  if (isSettled) return true;
  auto passed = timer.now() - startedAt;
  if (passed >= FIRST_PATIENCE_APART) return true;
  if (passed < FIRST_PATIENCE && !allHeard()) return false;
  bool areAllSeen = true;
  for (auto& member: members) {
    areAllSeen = areAllSeen && (isRecent(*member) || member->state == ProviderStatus::LACKS);
  }
  return areAllSeen || heightOf(finals, options.quorum) == heightOf(finals, 1);
}

// One failure may pass.
bool StemFollower::allHeard() const {
  for (auto& member: members) {
    bool isLost = member->state == ProviderStatus::LACKS || member->failuresInRow > 1;
    if (!member->isInSight && !isLost) return false;
  }
  return true;
}

bool StemFollower::isRecent(const Member& member) const {
  return member.sight.map([&](const Member::Sight& sight) {
    return member.isInSight || timer.now() - sight.at < SIGHT_LIFE;
  }).orDefault(false);
}

// Of a chain that a quorum is of: votes of different chains are never alike.
bool StemFollower::isComparable(const Member& member) const {
  if (!isRecent(member)) return false;
  kj::uint same = 0;
  for (auto& other: members) {
    if (!isRecent(*other)) continue;
    same += KJ_ASSERT_NONNULL(other->sight).chainId == KJ_ASSERT_NONNULL(member.sight).chainId;
  }
  return same >= options.quorum;
}

kj::Array<uint64_t> StemFollower::comparableFinals() const {
  kj::Vector<uint64_t> finals;
  for (auto& member: members) {
    if (!isComparable(*member)) continue;
    KJ_IF_MAYBE(final, KJ_ASSERT_NONNULL(member->sight).view.final) finals.add(final->number);
  }
  return finals.releaseAsArray();
}

// What each claims to have reached, though it may call a lower block final now.
kj::Array<uint64_t> StemFollower::reachedFinals() const {
  kj::Vector<uint64_t> finals;
  for (auto& member: members) {
    if (!isComparable(*member)) continue;
    KJ_IF_MAYBE(number, KJ_ASSERT_NONNULL(member->sight).highest) finals.add(*number);
  }
  return finals.releaseAsArray();
}

// The first; after a round in vain the one below, and then the first again, so that nobody who is
// alone in having reached less, or in claiming more, has the others asked about that for good.
size_t StemFollower::nextOf(kj::ArrayPtr<const uint64_t> heights) const {
  size_t count = 1;
  auto isNews = [&](uint64_t height) {
    return cursor.map([&](const StemCursor& c) { return height > c.final.number; }).orDefault(true);
  };
  while (count < heights.size() && isNews(heights[count])) ++count;
  if (roundsInVain == 0 || (!isSettled && !hasTriedFirst())) return 0;
  for (size_t i = 0; i < count; i++) {
    if (heights[i] < round.question.height) return i;
  }
  return 0;
}

// Before there is an epoch: often enough at the first, and for long enough?
bool StemFollower::hasTriedFirst() const {
  return roundsInVain >= FIRST_TRIES && newsSince.map([this](kj::TimePoint since) {
    return timer.now() - since >= FIRST_TRIES_PATIENCE;
  }).orDefault(false);
}

bool StemFollower::isWorthARound(uint64_t height) const {
  KJ_IF_MAYBE(kept, cursor) {
    if (height < kept->final.number) return false;  // providers that are behind
  }
  auto passed = timer.now() - round.since;
  switch (round.state) {
    case Round::IDLE: return true;
    case Round::ASKING:
    case Round::UNDECIDED: return passed >= kj::min(options.interval, ROUND_PATIENCE);
    case Round::DECIDED: break;
  }
  if (height != round.question.height) return true;
  return passed >= options.interval && isReplaced(height);
}

// Do too few still say that the block stands that was decided on?
bool StemFollower::isReplaced(uint64_t height) const {
  kj::uint same = 0, other = 0;
  for (auto& member: members) {
    KJ_IF_MAYBE(final, member->findFinal()) {
      if (final->number != height) continue;
      bool isSame = final->hash == KJ_ASSERT_NONNULL(decided).block.hash;
      ++(isSame ? same : other);
    }
  }
  return other > 0 && same < options.quorum;
}

// One that has yet to reach the block is, one that failed once too.
bool StemFollower::isAwaited(const Member& member) const {
  return member.findFinal() != nullptr && member.ballot.vote == nullptr &&
         !member.ballot.isBeyond && member.state != ProviderStatus::FROZEN &&
         member.failuresInRow <= 1;
}

bool StemFollower::isRoundOver() const {
  bool isAnyAwaited = false, isUnderWay = false;
  for (auto& member: members) {
    isAnyAwaited = isAnyAwaited || isAwaited(*member);
    KJ_IF_MAYBE(question, member->asked) {
      isUnderWay = isUnderWay || (*question == round.question && member->failuresInRow == 0);
    }
  }
  auto passed = timer.now() - round.since;
  auto patience = ROUND_PATIENCE * (1u << kj::min(roundsInVain / 2, MAX_DOUBLINGS));
  return !isAnyAwaited || passed >= patience + VOTE_PATIENCE || (passed >= patience && !isUnderWay);
}

// A member has voted, or cannot; or the time is over.
void StemFollower::tally() {
  if (round.state != Round::ASKING) return;
  bool isOver = isRoundOver();
  // Where two may have a quorum each, all are heard first.
  bool mayBeTwo = 2 * options.quorum <= members.size();
  if (mayBeTwo && !isOver) return;
  auto votes = currentVotes();
  KJ_IF_MAYBE(index, agreedAmong(votes, options.quorum)) {
    return decide(KJ_ASSERT_NONNULL(votes[*index]));
  }
  if (isOver) endRound();
}

// They do not agree. If all have voted, none is left with whom one of them might be right: all are
// named then. Before, that would name honest ones.
void StemFollower::endRound() {
  round.state = Round::UNDECIDED;
  countInVain();
  auto votes = currentVotes();
  kj::uint voted = 0;
  for (auto& vote: votes) voted += vote != nullptr;
  if (voted < members.size()) return;
  auto how = haveQuorumEach(votes, options.quorum)
      ? kj::str("two answers have a quorum each at block ", round.question.height)
      : kj::str("no quorum agrees at block ", round.question.height);
  for (auto& member: members) {
    KJ_IF_MAYBE(vote, member->ballot.vote) {
      disagree(*member, kj::str(how, "; it says ", epochText(vote->head), " in ",
                                toText(vote->block.hash), " of chain ", vote->chainId));
    }
  }
}

kj::Array<kj::Maybe<Vote>> StemFollower::currentVotes() const {
  return KJ_MAP(member, members) -> kj::Maybe<Vote> {
    return member->ballot.vote.map([](const Vote& vote) { return vote.clone(); });
  };
}

// One round in vain may be a passing failure. More are told of.
void StemFollower::countInVain() {
  whyInVain = describeRound();
  if (++roundsInVain != ROUNDS_IN_VAIN) return;
  logger.log(LogLevel::WARNING, "the providers of the chain have no quorum",
             {{"cause", kj::str(whyInVain)}});
}

void StemFollower::decide(const Vote& agreed) {
  auto why = contradiction(agreed);
  if (why != nullptr && !isDoubted) {
    // One of a quorum may have strayed for a moment: all are asked anew.
    isDoubted = true;
    round.state = Round::UNDECIDED;
    logger.log(LogLevel::WARNING, "a quorum speaks against what was final; it is asked again",
               {{"cause", kj::mv(KJ_ASSERT_NONNULL(why))}});
    return;
  }
  isDoubted = false;
  round.state = Round::DECIDED;
  if (roundsInVain >= ROUNDS_IN_VAIN) {
    logger.log(LogLevel::INFO, "the providers of the chain have a quorum again", {});
  }
  roundsInVain = 0;
  decided = agreed.clone();
  for (auto& member: members) compare(*member);
  KJ_IF_MAYBE(w, why) return close(kj::mv(*w));
  if (agreed.head == nullptr) {
    newsSince = nullptr;
    if (isAbsent) return;
    isAbsent = true;
    logger.log(LogLevel::WARNING, "no Stem contract is at this address yet; waiting for it",
               {{"contract", toText(options.contract)}, {"chain", kj::str(agreed.chainId)},
                {"final block", kj::str(agreed.block.number)}});
    return;
  }
  tasks.add(adopt(agreed.clone()));
}

// One member's word with what was decided, once.
void StemFollower::compare(Member& member) {
  auto& ballot = member.ballot;
  if (round.state != Round::DECIDED || ballot.isCompared) return;
  auto& agreed = KJ_ASSERT_NONNULL(decided);
  KJ_IF_MAYBE(vote, ballot.vote) {
    ballot.isCompared = true;
    if (*vote == agreed) {
      agree(member);
      // It votes late: others have been audited.
      KJ_IF_MAYBE(from, auditFrom) tasks.add(audit(member, *from, agreed.clone()));
      return;
    }
    if (vote->chainId != agreed.chainId) {
      return lack(member, kj::str("it is of chain ", vote->chainId, ", and not of ",
                                  agreed.chainId));
    }
    return disagree(member, kj::str("at block ", agreed.block.number, " it says ",
        epochText(vote->head), " in ", toText(vote->block.hash), " of chain ", vote->chainId,
        "; a quorum says ", epochText(agreed.head), " in ", toText(agreed.block.hash)));
  }
  // No head can be asked for in a block that it made up.
  KJ_IF_MAYBE(hash, ballot.claimed) {
    if (*hash == agreed.block.hash) return;
    ballot.isCompared = true;
    disagree(member, kj::str("block ", agreed.block.number, " is ", toText(*hash),
                             " to it, and ", toText(agreed.block.hash), " to a quorum"));
  }
}

kj::Maybe<kj::String> StemFollower::contradiction(const Vote& vote) const {
  KJ_IF_MAYBE(kept, cursor) {
    auto number = kept->final.number;
    auto hash = vote.block.number == number ? vote.block.hash
        : vote.anchor.orDefault(kept->final.hash);
    if (vote.chainId != kept->chainId) {
      return kj::str("a quorum is of chain ", vote.chainId, ", and not of ", kept->chainId);
    }
    if (!(hash == kept->final.hash)) {
      return kj::str("block ", number, " was ", toText(kept->final.hash), " and is ",
                     toText(hash));
    }
    KJ_IF_MAYBE(head, vote.head) {
      auto& epoch = kept->epoch;
      bool isOther = head->seq == epoch.seq && head->value.asPtr() != epoch.head.asPtr();
      if (head->seq >= epoch.seq && !isOther) return nullptr;
      return kj::str("the head was ", epoch.seq, " (", hexDataOf(epoch.head), ") and is ",
                     head->seq, " (", hexDataOf(head->value), ")");
    }
    return kj::str("the contract is gone at block ", vote.block.number);
  }
  return nullptr;
}

}  // namespace ww
