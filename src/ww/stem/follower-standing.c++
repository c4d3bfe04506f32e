// What a StemFollower holds of each provider: its state, and what of that is said in the log.

#include <kj/debug.h>
#include <ww/stem/follower-member.h>
#include <ww/stem/hex.h>

namespace ww {
namespace {

constexpr kj::Duration TOP_LIFE = 1 * kj::MINUTES;

constexpr kj::uint ODD_LOOKS = 3;

// Blocks that may come between a look and an event that is pushed.
constexpr uint64_t FAR_AHEAD = 1000;

}  // namespace

ProviderStatus StemFollower::Member::toStatus() const {
  ProviderStatus status{reader->getName(), state, problem, 0, 0, failures, disagreements};
  KJ_IF_MAYBE(v, findView()) {
    status.latest = v->latest.number;
    KJ_IF_MAYBE(block, v->final) status.final = block->number;
  }
  return status;
}

// It answers, and owes nothing.
void StemFollower::heard(Member& member) {
  if (member.owesVote) return;
  member.failuresInRow = 0;
  switch (member.state) {
    case ProviderStatus::NEW:
    case ProviderStatus::ANSWERS:
    case ProviderStatus::FAILS:
    case ProviderStatus::LACKS: return member.recover();
    case ProviderStatus::DISAGREES:
    case ProviderStatus::FROZEN: return;
  }
}

// Its look failed: nothing is known of it.
void StemFollower::fail(Member& member, const kj::Exception& exception) {
  member.state = ProviderStatus::FAILS;
  member.problem = kj::str(exception.getDescription());
  member.isInSight = false;
  member.chainId = nullptr;
  ++member.failures;
  ++member.failuresInRow;
  tell(member);
  tally();
  watchReach();
}

// It answers, and does not vote. One that disagrees may do so at each vote, and has to agree first.
void StemFollower::failVote(Member& member, const kj::Exception& exception) {
  member.owesVote = true;
  ++member.failures;
  ++member.failuresInRow;
  if (!member.ballot.isCompared) member.problem = kj::str(exception.getDescription());
  if (member.state != ProviderStatus::DISAGREES) member.state = ProviderStatus::FAILS;
  tell(member);
}

void StemFollower::lack(Member& member, kj::String what) {
  member.state = ProviderStatus::LACKS;
  member.problem = kj::mv(what);
  member.sight = nullptr;
  member.isInSight = false;
  member.chainId = nullptr;
  member.ballot = {};
  member.hints.clear();
  tell(member);
  tally();
  watchReach();
  announce();
}

void StemFollower::disagree(Member& member, kj::String how) {
  ++member.disagreements;
  member.state = ProviderStatus::DISAGREES;
  member.problem = kj::mv(how);
  member.hasNews = true;
  tell(member);
}

void StemFollower::agree(Member& member) {
  if (member.state != ProviderStatus::DISAGREES) return;
  member.recover();
  tell(member);
}

// What the log does not know of it yet. With too many lines, later, if it is so then.
void StemFollower::tell(Member& member) {
  auto now = timer.now();
  bool isMore = member.hasNews && member.lines.isQuiet(now);
  if (member.state == member.told && !isMore) return;
  bool isFirst = member.told == ProviderStatus::NEW && member.state == ProviderStatus::ANSWERS;
  if (!isFirst && !member.lines.take(now)) return;
  auto former = member.told;
  member.told = member.state;
  member.hasNews = false;
  auto name = kj::str(member.reader->getName());
  auto warn = [&](kj::StringPtr event) {
    logger.log(LogLevel::WARNING, event, {{"provider", kj::mv(name)},
                                          {"cause", kj::str(member.problem)}});
  };
  switch (member.state) {
    case ProviderStatus::NEW: return;
    case ProviderStatus::FAILS:
      return warn("a provider of the chain fails; it is asked again later");
    case ProviderStatus::LACKS: return warn("a provider of the chain cannot be used");
    case ProviderStatus::DISAGREES:
    case ProviderStatus::FROZEN:
      return warn("a provider of the chain is not at one with the others");
    case ProviderStatus::ANSWERS: break;
  }
  if (isFirst) return;
  bool wasOdd = former == ProviderStatus::DISAGREES || former == ProviderStatus::FROZEN;
  logger.log(LogLevel::INFO, wasOdd ? "a provider of the chain is at one with the others again"_kj
                                    : "a provider of the chain answers again"_kj,
             {{"provider", kj::mv(name)}});
}

// It may not vote for one block and call another final.
void StemFollower::checkFinal(Member& member) {
  KJ_IF_MAYBE(final, member.findFinal()) {
    KJ_IF_MAYBE(vote, member.ballot.vote) {
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
    all.add(KJ_ASSERT_NONNULL(member->sight).view.latest.number);
  }
  KJ_IF_MAYBE(latest, heightOf(all, options.quorum)) setLatest(*latest);
  for (auto& member: members) {
    KJ_IF_MAYBE(why, whyFrozen(*member)) {
      if (member->state != ProviderStatus::ANSWERS) continue;
      ++member->disagreements;
      member->state = ProviderStatus::FROZEN;
      member->problem = kj::mv(*why);
    } else if (member->state == ProviderStatus::FROZEN) {
      member->recover();
    }
    tell(*member);
  }
}

// A higher one at once; a lower one if that lasts: what was higher was of another chain.
void StemFollower::setLatest(uint64_t latest) {
  auto now = timer.now();
  if (latest >= topLatest) belowTopSince = nullptr;
  if (latest > topLatest) {
    latestMoved = now;
    topLatest = latest;
  } else if (latest < topLatest && now - belowTopSince.emplace(belowTopSince.orDefault(now)) >=
                                       TOP_LIFE) {
    topLatest = latest;
    belowTopSince = nullptr;
  }
}

kj::Maybe<kj::String> StemFollower::whyFrozen(const Member& member) const {
  auto now = timer.now();
  auto say = [&](kj::StringPtr which, uint64_t number, kj::TimePoint since, uint64_t top) {
    return kj::str("its ", which, " block is ", number, " for ", (now - since) / kj::SECONDS,
                   " s, a quorum's is ", top);
  };
  KJ_IF_MAYBE(view, member.findView()) {
    auto latest = view->latest.number;
    if (latest < topLatest && now - member.moved >= LATEST_PATIENCE) {
      return say("latest", latest, member.moved, topLatest);
    }
    KJ_IF_MAYBE(kept, cursor) {
      // One that calls none final stands too.
      auto final = view->final.map([](const BlockRef& block) { return block.number; }).orDefault(0);
      if (final < kept->final.number && now - member.finalMoved >= FINAL_PATIENCE) {
        return say("final", final, member.finalMoved, kept->final.number);
      }
    }
  }
  return nullptr;
}

// ---- Hints ------------------------------------------------------------------------------------

// Of one that fails or is of no use, none.
void StemFollower::takeHint(Member& member, HeadLog hint) {
  if (!member.isInSight) return;
  kj::Vector<HeadLog> kept;
  for (auto& other: member.hints) {
    if (!other.isSameAs(hint)) kept.add(kj::mv(other));
  }
  if (!hint.removed && kept.size() < Member::MAX_HINTS) kept.add(kj::mv(hint));
  member.hints = kj::mv(kept);
  announceHint();
}

// In place of what it said before.
void StemFollower::takeLatest(Member& member, const BlockRef& block, kj::Maybe<StemHead> head) {
  if (!member.isInSight) return;
  auto before = kj::mv(member.hints);
  member.hints.clear();
  auto final = cursor.map([](const StemCursor& kept) { return kept.epoch.seq; }).orDefault(0);
  KJ_IF_MAYBE(latest, head) {
    if (latest->seq > final) member.hints.add(HeadLog{kj::mv(*latest), block, 0, false});
  }
  // The same head of a later block stands for that one: the first may have been taken back.
  bool isAny = !member.hints.empty();
  bool isSame = isAny && !before.empty() && before[0].head == member.hints[0].head;
  if (!isSame && (isAny || !before.empty())) announceHint();
}

void StemFollower::announceHint() {
  auto told = kj::mv(hintedFulfiller);
  auto paf = kj::newPromiseAndFulfiller<void>();
  hintedFulfiller = kj::mv(paf.fulfiller);
  hinted = paf.promise.fork();
  told->fulfill();
}

kj::Maybe<const StemHead&> StemFollower::newestHint() const {
  kj::Maybe<const StemHead&> newest;
  KJ_IF_MAYBE(kept, cursor) {
    auto seq = kept->epoch.seq;
    for (auto& member: members) {
      if (member->state != ProviderStatus::ANSWERS) continue;
      for (auto& hint: member->hints) {
        if (hint.head.seq <= seq) continue;
        seq = hint.head.seq;
        newest = hint.head;
      }
    }
  }
  return newest;
}

kj::Maybe<kj::Array<const kj::byte>> StemFollower::findPending() const {
  return newestHint().map([](const StemHead& head) {
    return kj::heapArray<const kj::byte>(head.value);
  });
}

// Those that no look can follow: they would be held for ever.
void StemFollower::checkFarHints(Member& member) {
  auto latest = KJ_ASSERT_NONNULL(member.sight).view.latest.number;
  kj::Vector<HeadLog> kept;
  for (auto& hint: member.hints) {
    if (hint.block.number > latest && hint.block.number - latest > FAR_AHEAD) {
      disagree(member, kj::str("it told of head ", hint.head.seq, " in block ",
                               hint.block.number, ", and its latest is ", latest));
    } else {
      kept.add(kj::mv(hint));
    }
  }
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
