#include <ww/stem/follower-member.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/stem/hex.h>

namespace ww {
namespace {

// Between two looks at one provider, however often it rings.
constexpr kj::Duration SHORTEST_REST = 200 * kj::MILLISECONDS;

// After the first failure in a row; twice that after each other, up to the longest. Half as much
// more or less, by chance: nodes that lost a provider together do not come back together.
constexpr kj::Duration FIRST_RETRY = 1 * kj::SECONDS;
constexpr kj::Duration LONGEST_RETRY = 60 * kj::SECONDS;

// Of the block that counts, one after the other: then it does not have such.
constexpr kj::uint REFUSALS = 3;

constexpr kj::Duration LISTEN_RETRY = 5 * kj::SECONDS;

// What is final does not go back. One that calls a low block final after a high one chooses no
// height by that for so long: longer than the rounds that it may have wasted before.
constexpr kj::Duration HIGHEST_LIFE = 3 * kj::MINUTES;

constexpr kj::Duration CHAIN_ID_LIFE = 1 * kj::MINUTES;

// Blocks below its own final one, of which a provider has to have the states.
constexpr uint64_t RECENT_STATES = 64;

}  // namespace

kj::Promise<void> StemFollower::watch(Member& member) {
  for (;;) {
    co_await look(member).catch_([this, &member](kj::Exception&& e) { fail(member, e); });
    co_await rest(member);
  }
}

// What its blocks are, and then one vote at most: the next look sees what came meanwhile.
kj::Promise<void> StemFollower::look(Member& member) {
  // One that is alone on its chain may have been so for a moment, and another turn to one.
  bool isKnown = member.chainId != nullptr && timer.now() - member.chainIdAt < CHAIN_ID_LIFE;
  if (!isKnown || !isComparable(member)) {
    auto id = co_await member.reader->chainId();
    if (!isMeant(member, id)) co_return;
    member.chainId = id;
    member.chainIdAt = timer.now();
  }
  auto offered = co_await member.reader->view(options.finality);
  if (member.chainId == nullptr) co_return;  // meanwhile it was found to be of another chain
  KJ_IF_MAYBE(none, offered.tryGet<NotOffered>()) {
    // A provider may refuse what it has, for a moment.
    if (++member.refusals >= REFUSALS) co_return lack(member, kj::mv(none->what));
    kj::throwFatalException(badInput(none->what));
  }
  member.refusals = 0;
  take(member, kj::mv(offered.get<ChainView>()));
  if (!member.reader->canPush()) {
    tasks.add(lookAhead(member).catch_([](kj::Exception&&) {}));  // the next look asks again
  }
  if (isAsked(member)) co_await vote(member);
}

// What its head will be, once a block: a hint, that nothing waits for.
kj::Promise<void> StemFollower::lookAhead(Member& member) {
  KJ_IF_MAYBE(view, member.findView()) {
    auto block = view->latest;
    bool isKnown = member.aheadOf.map([&](const BlockRef& b) { return b == block; })
        .orDefault(false);
    if (member.isLookingAhead || isKnown) co_return;
    member.isLookingAhead = true;
    KJ_DEFER(member.isLookingAhead = false);
    auto head = co_await member.reader->headAt(block.hash);
    member.aheadOf = block;
    takeLatest(member, block, kj::mv(head));
  }
}

void StemFollower::take(Member& member, ChainView view) {
  auto now = timer.now();
  bool hasMoved = true, hasFinalMoved = true;
  auto highest = view.final.map([](const BlockRef& block) { return block.number; });
  auto highestAt = now;
  KJ_IF_MAYBE(former, member.sight) {
    bool isHigher = former->highest != nullptr &&
                    highest.orDefault(0) < KJ_ASSERT_NONNULL(former->highest);
    if (isHigher && now - former->highestAt < HIGHEST_LIFE) {
      highest = former->highest;
      highestAt = former->highestAt;
    }
    hasMoved = !(former->view.latest == view.latest);
    hasFinalMoved = !(former->view.final == view.final);
  }
  if (hasMoved) member.moved = now;
  if (hasFinalMoved) member.finalMoved = now;
  member.sight = Member::Sight{KJ_ASSERT_NONNULL(member.chainId), kj::mv(view), now, highest,
                               highestAt};
  member.isInSight = true;
  heard(member);
  checkFinal(member);
  checkFarHints(member);
  updateLatest();
  watchReach();
  beginRound();
}

bool StemFollower::isMeant(Member& member, uint64_t chainId) {
  auto meant = options.chainId.orDefault(cursor.map([](const StemCursor& kept) {
    return kept.chainId;
  }).orDefault(chainId));
  if (chainId == meant) return true;
  lack(member, kj::str("it is of chain ", chainId, ", and not of ", meant));
  return false;
}

// Those that come late are asked too: for their states.
bool StemFollower::isAsked(const Member& member) const {
  if (round.state == Round::IDLE || member.ballot.vote != nullptr) return false;
  KJ_IF_MAYBE(final, member.findFinal()) return final->number >= round.question.height;
  return false;
}

kj::Promise<void> StemFollower::vote(Member& member) {
  auto question = round.question;
  auto final = KJ_ASSERT_NONNULL(member.findFinal()).number;
  // Below, it may have no states any more; who chose such a height is no matter of its own.
  bool isFair = round.isTop && final - question.height <= RECENT_STATES;
  kj::Maybe<BlockHash> claimed;
  kj::Maybe<kj::Exception> failed;
  member.asked = question;
  auto vote = co_await ask(member, question, claimed).catch_([&](kj::Exception&& e) {
    failed = kj::mv(e);
    return Vote();
  });
  member.asked = nullptr;
  if (member.chainId == nullptr) co_return;  // meanwhile it was found to be of another chain
  bool isCurrent = round.question == question;
  KJ_IF_MAYBE(e, failed) {
    if (isCurrent) {
      member.ballot.claimed = claimed;
      member.ballot.isBeyond = !isFair;
    }
    compare(member);
    if (isFair) failVote(member, *e);
    member.chainId = nullptr;  // it is asked for again
    co_return tally();
  }
  if (vote.chainId != KJ_ASSERT_NONNULL(member.chainId)) {
    // What it said is of neither; if the new one may be meant, it is looked at anew.
    if (isMeant(member, vote.chainId)) member.chainId = nullptr;
    member.sight = nullptr;
    member.isInSight = false;
    co_return tally();
  }
  member.owesVote = false;
  heard(member);
  tell(member);
  if (!isCurrent) co_return;
  member.ballot = {kj::mv(vote), nullptr, false};
  compare(member);
  tally();
}

// Rejects where it does not know. What it says of the block is `claimed` then, too.
kj::Promise<Vote> StemFollower::ask(Member& member, const Question& question,
                                    kj::Maybe<BlockHash>& claimed) {
  auto missing = [](uint64_t number) {
    return badInput(kj::str("it has no block ", number, ", though a later one is final to it"));
  };
  auto height = question.height;
  auto other = question.anchor;
  if (other.orDefault(height) == height) other = nullptr;
  claimed = co_await member.reader->blockAt(height);
  if (claimed == nullptr) kj::throwFatalException(missing(height));
  Vote vote;
  vote.block = {height, KJ_ASSERT_NONNULL(claimed)};
  kj::Promise<kj::Maybe<BlockHash>> anchor = kj::Maybe<BlockHash>(nullptr);
  KJ_IF_MAYBE(number, other) anchor = member.reader->blockAt(*number);
  vote.head = co_await member.reader->headAt(vote.block.hash);
  vote.anchor = co_await anchor;
  KJ_IF_MAYBE(number, other) {
    if (vote.anchor == nullptr) kj::throwFatalException(missing(*number));
  }
  // After all of it: a name may lead to another chain's machine from one call to the next.
  vote.chainId = co_await member.reader->chainId();
  co_return kj::mv(vote);
}

kj::Promise<void> StemFollower::rest(Member& member) {
  if (member.state == ProviderStatus::LACKS) return timer.afterDelay(LONGEST_RETRY);
  if (member.failuresInRow > 0) {
    auto delay = LONGEST_RETRY;
    constexpr kj::uint DOUBLINGS = 6;
    if (member.failuresInRow <= DOUBLINGS) {
      delay = kj::min(delay, FIRST_RETRY * (1u << (member.failuresInRow - 1)));
    }
    constexpr uint64_t PARTS = 1000;
    return timer.afterDelay(delay / 2 + delay * (random() % PARTS) / PARTS);
  }
  return timer.afterDelay(kj::min(SHORTEST_REST, options.interval)).then([this, &member]()
      -> kj::Promise<void> {
    if (member.isRung) {
      member.isRung = false;
      return kj::READY_NOW;
    }
    auto paf = kj::newPromiseAndFulfiller<void>();
    member.bell = kj::mv(paf.fulfiller);
    return paf.promise.exclusiveJoin(timer.afterDelay(options.interval)).then([&member]() {
      member.isRung = false;
    });
  });
}

kj::Promise<void> StemFollower::listen(Member& member) {
  for (;;) {
    bool isLost = false;
    auto hint = co_await member.reader->nextHint().catch_(
        [&isLost](kj::Exception&&) -> kj::Maybe<HeadLog> {
      isLost = true;
      return nullptr;
    });
    if (isLost) {
      // What was taken back meanwhile is not told.
      member.hints.clear();
      co_await timer.afterDelay(LISTEN_RETRY);
      continue;
    }
    KJ_IF_MAYBE(log, hint) takeHint(member, kj::mv(*log));
    member.ring();
  }
}

}  // namespace ww
