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

constexpr kj::uint ODD_LOOKS = 3;

// Blocks that may come between a look and an event that is pushed.
constexpr uint64_t FAR_AHEAD = 1000;

constexpr kj::Duration LISTEN_RETRY = 5 * kj::SECONDS;

constexpr kj::Duration ALARM_INTERVAL = 1 * kj::MINUTES;  // of one provider

}  // namespace

ProviderStatus StemFollower::Member::toStatus() const {
  ProviderStatus status{reader->getName(), state, problem, 0, 0, failures, disagreements};
  KJ_IF_MAYBE(v, view) {
    status.latest = v->latest.number;
    KJ_IF_MAYBE(block, v->final) status.final = block->number;
  }
  return status;
}

kj::Promise<void> StemFollower::watch(Member& member) {
  for (;;) {
    co_await look(member).catch_([this, &member](kj::Exception&& e) { fail(member, e); });
    co_await rest(member);
  }
}

kj::Promise<void> StemFollower::look(Member& member) {
  if (member.chainId == nullptr) {
    auto id = co_await member.reader->chainId();
    if (!isMeant(member, id)) co_return;
    member.chainId = id;
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

  auto isAsked = [&]() {
    if (round.state == Round::IDLE) return false;
    if (member.hasAnswered && !member.owesVote) return false;
    KJ_IF_MAYBE(final, member.findFinal()) return final->number >= round.height;
    return false;
  };
  while (isAsked()) {
    auto id = round.id;
    member.owesVote = true;
    auto vote = co_await ask(member);
    member.owesVote = false;
    if (member.chainId == nullptr) co_return;  // likewise
    heard(member);
    if (round.id != id) continue;
    member.vote = kj::mv(vote);
    answered(member);
  }
}

bool StemFollower::isMeant(Member& member, uint64_t chainId) {
  auto meant = options.chainId.orDefault(cursor.map([](const StemCursor& kept) {
    return kept.chainId;
  }).orDefault(chainId));
  if (chainId == meant) return true;
  lack(member, kj::str("it is of chain ", chainId, ", and not of ", meant));
  return false;
}

kj::Promise<Vote> StemFollower::ask(Member& member) {
  auto id = round.id;
  auto height = round.height;
  auto anchor = round.anchor;
  auto missing = [](uint64_t number) {
    return badInput(kj::str("it has no block ", number, ", though a later one is final to it"));
  };
  Vote vote;
  vote.chainId = KJ_ASSERT_NONNULL(member.chainId);
  auto hash = co_await member.reader->blockAt(height);
  if (hash == nullptr) kj::throwFatalException(missing(height));
  vote.block = {height, KJ_ASSERT_NONNULL(hash)};
  if (round.id == id) member.claimed = vote.block.hash;
  vote.head = co_await member.reader->headAt(vote.block.hash);
  KJ_IF_MAYBE(number, anchor) {
    if (*number != height) {
      vote.anchor = co_await member.reader->blockAt(*number);
      if (vote.anchor == nullptr) kj::throwFatalException(missing(*number));
    }
  }
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

void StemFollower::take(Member& member, ChainView view) {
  auto now = timer.now();
  bool hasMoved = true;
  KJ_IF_MAYBE(former, member.view) hasMoved = !(former->latest == view.latest);
  if (hasMoved) member.moved = now;
  member.view = kj::mv(view);
  if (member.state == ProviderStatus::FROZEN && hasMoved) member.recover();
  heard(member);
  checkFinal(member);
  updateLatest();
  watchReach();
  beginRound();
}

// It answers, and owes nothing.
void StemFollower::heard(Member& member) {
  if (member.owesVote) return;
  member.failuresInRow = 0;
  switch (member.state) {
    case ProviderStatus::FAILS:
      logger.log(LogLevel::INFO, "a provider of the chain answers again",
                 {{"provider", kj::str(member.reader->getName())}});
      return member.recover();
    case ProviderStatus::NEW:
    case ProviderStatus::ANSWERS:
    case ProviderStatus::LACKS: return member.recover();
    case ProviderStatus::DISAGREES:
    case ProviderStatus::FROZEN: return;
  }
}

// It may not vote for one block and call another final.
void StemFollower::checkFinal(Member& member) {
  KJ_IF_MAYBE(final, member.findFinal()) {
    KJ_IF_MAYBE(vote, member.vote) {
      bool isOdd = final->number == vote->block.number && !(final->hash == vote->block.hash) &&
                   round.state == Round::DECIDED && !isReplaced(final->number);
      member.oddLooks = isOdd ? member.oddLooks + 1 : 0;
      // The first to see a block replaced is no liar.
      if (member.oddLooks < ODD_LOOKS) return;
      disagree(member, kj::str("it calls ", toText(final->hash), " final at block ",
                               final->number, ", and voted for ", toText(vote->block.hash)));
    }
  }
}

// What a quorum has reached, and who is far behind it.
void StemFollower::updateLatest() {
  kj::Vector<uint64_t> all;
  for (auto& member: members) {
    if (!isComparable(*member)) continue;
    all.add(KJ_ASSERT_NONNULL(member->view).latest.number);
  }
  auto now = timer.now();
  KJ_IF_MAYBE(latest, heightOf(all, options.quorum)) {
    if (*latest > topLatest) {
      latestMoved = now;
      topLatest = *latest;
    }
  }
  for (auto& member: members) {
    if (member->state != ProviderStatus::ANSWERS) continue;
    KJ_IF_MAYBE(view, member->view) {
      if (view->latest.number >= topLatest || now - member->moved < LATEST_PATIENCE) continue;
      disagree(*member, kj::str("its latest block is ", view->latest.number, " for ",
                                (now - member->moved) / kj::SECONDS, " s, a quorum's is ",
                                topLatest));
      member->state = ProviderStatus::FROZEN;
    }
  }
}

void StemFollower::fail(Member& member, const kj::Exception& exception) {
  // One that disagrees may fail at each vote.
  bool isKnown = member.state == ProviderStatus::FAILS || member.failuresInRow > 0;
  if (!isKnown) {
    logger.log(LogLevel::WARNING, "a provider of the chain fails; it is asked again later",
               {{"provider", kj::str(member.reader->getName())},
                {"cause", kj::str(exception.getDescription())}});
  }
  member.state = ProviderStatus::FAILS;
  member.problem = kj::str(exception.getDescription());
  member.view = nullptr;
  member.chainId = nullptr;
  ++member.failures;
  ++member.failuresInRow;
  answered(member);
  watchReach();
}

void StemFollower::lack(Member& member, kj::String what) {
  if (member.state != ProviderStatus::LACKS) {
    logger.log(LogLevel::WARNING, "a provider of the chain cannot be used",
               {{"provider", kj::str(member.reader->getName())}, {"cause", kj::str(what)}});
  }
  member.state = ProviderStatus::LACKS;
  member.problem = kj::mv(what);
  member.view = nullptr;
  member.chainId = nullptr;
  member.vote = nullptr;
  member.claimed = nullptr;
  answered(member);
  watchReach();
  announce();
}

void StemFollower::disagree(Member& member, kj::String how) {
  auto now = timer.now();
  ++member.disagreements;
  bool isQuiet = member.saidAt.map([&](kj::TimePoint at) {
    return now - at < ALARM_INTERVAL;
  }).orDefault(false);
  if (!isQuiet) {
    member.saidAt = now;
    member.isSaid = true;
    logger.log(LogLevel::WARNING, "a provider of the chain is not at one with the others",
               {{"provider", kj::str(member.reader->getName())}, {"cause", kj::str(how)}});
  }
  member.state = ProviderStatus::DISAGREES;
  member.problem = kj::mv(how);
}

void StemFollower::agree(Member& member) {
  if (member.state != ProviderStatus::DISAGREES) return;
  member.recover();
  if (!member.isSaid) return;
  member.isSaid = false;
  logger.log(LogLevel::INFO, "a provider of the chain is at one with the others again",
             {{"provider", kj::str(member.reader->getName())}});
}

// ---- Hints ------------------------------------------------------------------------------------

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

void StemFollower::takeHint(Member& member, HeadLog hint) {
  KJ_IF_MAYBE(view, member.view) {
    auto latest = view->latest.number;
    if (hint.block.number > latest && hint.block.number - latest > FAR_AHEAD) {
      return disagree(member, kj::str("it told of head ", hint.head.seq, " in block ",
                                      hint.block.number, ", and its latest is ", latest));
    }
  }
  kj::Vector<HeadLog> kept;
  for (auto& other: member.hints) {
    if (!other.isSameAs(hint)) kept.add(kj::mv(other));
  }
  if (!hint.removed && kept.size() < Member::MAX_HINTS) kept.add(kj::mv(hint));
  member.hints = kj::mv(kept);
}

// Those of blocks that are final by now.
void StemFollower::checkHints(Member& member, const Vote& agreed) {
  auto& head = KJ_ASSERT_NONNULL(agreed.head);
  kj::Vector<HeadLog> kept;
  for (auto& hint: member.hints) {
    if (hint.block.number > agreed.block.number) {
      kept.add(kj::mv(hint));
      continue;
    }
    bool isOther = hint.head.seq == head.seq && !(hint.head == head);
    if (hint.head.seq > head.seq || isOther) {
      // Some providers do not tell of what a reorganisation took back.
      disagree(member, kj::str("it told of head ", hint.head.seq, " in block ",
                               hint.block.number, ", which the chain does not hold at block ",
                               agreed.block.number, ": taken back without a word, or made up"));
    }
  }
  member.hints = kj::mv(kept);
}

}  // namespace ww
