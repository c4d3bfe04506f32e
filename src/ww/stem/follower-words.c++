// What a StemFollower tells of itself: to its operator, in the log, and to who asks if it is ready.

#include <kj/debug.h>
#include <ww/stem/follower-member.h>
#include <ww/stem/hex.h>

namespace ww {
namespace {

constexpr kj::Duration PROGRESS_INTERVAL = 10 * kj::SECONDS;

}  // namespace

kj::Promise<void> StemFollower::sayProgress() {
  for (;;) {
    co_await timer.afterDelay(PROGRESS_INTERVAL);
    if (isSettled || failure != nullptr) co_return;
    kj::uint answering = 0;
    for (auto& member: members) answering += member->findFinal() != nullptr;
    auto final = heightOf(comparableFinals(), options.quorum);
    auto followed = cursor.map([](const StemCursor& kept) { return kept.final.number; });
    logger.log(LogLevel::INFO, "waiting for the chain",
               {{"cause", whyItWaits()}, {"quorum", kj::str(options.quorum)},
                {"answering", kj::str(answering)}, {"latest", kj::str(topLatest)},
                {"final", kj::str(final.orDefault(0))},
                {"followed to", kj::str(followed.orDefault(0))}});
  }
}

// Why no epoch was agreed on since the start.
kj::String StemFollower::whyItWaits() const {
  KJ_IF_MAYBE(obstacle, findObstacle()) return kj::mv(*obstacle);
  if (roundsInVain > 0) return kj::str(whyInVain);
  KJ_IF_MAYBE(agreed, decided) {
    if (agreed->head == nullptr) {
      return kj::str("a quorum of providers finds no contract at ", toText(options.contract),
                     " in final block ", agreed->block.number, " of chain ", agreed->chainId,
                     ": check --stem, unless it is still to be deployed");
    }
  }
  return kj::str("no quorum of providers has agreed on a head yet");
}

// What keeps a quorum from being asked about any block that is news.
kj::Maybe<kj::String> StemFollower::findObstacle() const {
  kj::uint answering = 0, comparable = 0;
  for (auto& member: members) {
    answering += member->isInSight;
    comparable += isComparable(*member);
  }
  if (answering < options.quorum) {
    return kj::str("no quorum of providers answers: ", answering, " of ", members.size(),
                   " do, the quorum is ", options.quorum, complaints(true));
  }
  if (comparable == 0) {
    return kj::str("no quorum of providers is of one chain", describeChains());
  }
  KJ_IF_MAYBE(height, heightOf(comparableFinals(), options.quorum)) {
    KJ_IF_MAYBE(kept, cursor) {
      if (*height < kept->final.number) {
        return kj::str("block ", *height, " is the last that is final to a quorum of providers, "
                       "and the chain was followed to block ", kept->final.number,
                       " before: they are behind, or it was taken back");
      }
    }
    return nullptr;
  }
  return kj::str("no block is final to a quorum of providers yet");
}

// When it ends, or is given up, without a decision.
kj::String StemFollower::describeRound() const {
  auto votes = currentVotes();
  kj::uint voted = 0;
  for (auto& vote: votes) voted += vote != nullptr;
  auto how = voted < options.quorum ? ""_kj
      : haveQuorumEach(votes, options.quorum) ? ", and two answers have a quorum each"_kj
      : ", and not enough of them alike"_kj;
  return kj::str("no quorum agrees at block ", round.question.height, ": ", voted, " of ",
                 members.size(), " providers vote", how, "; the quorum is ", options.quorum,
                 complaints(false));
}

kj::String StemFollower::describeChains() const {
  return kj::strArray(KJ_MAP(member, members) {
    return member->chainId.map([&](uint64_t id) {
      return kj::str("; ", member->reader->getName(), ": chain ", id);
    }).orDefault(kj::String());
  }, "");
}

// Of those that are of no use now, each with why.
kj::String StemFollower::complaints(bool ofVoters) const {
  return kj::strArray(KJ_MAP(member, members) {
    bool isGood = member->state == ProviderStatus::ANSWERS ||
                  member->state == ProviderStatus::NEW ||
                  (!ofVoters && member->ballot.vote != nullptr);
    return isGood ? kj::String()
                  : kj::str("; ", member->reader->getName(), ": ", member->problem);
  }, "");
}

// One look is not enough.
kj::Duration StemFollower::reachPatience() const {
  return kj::max(REACH_PATIENCE, 2 * options.interval);
}

// A moment is nothing: providers fail for one, and some answer from machines that lag.
void StemFollower::watchReach() {
  auto obstacle = findObstacle();
  if (obstacle == nullptr) {
    if (isObstacleSaid) logger.log(LogLevel::INFO, "the chain can be followed again", {});
    outOfReachSince = nullptr;
    isObstacleSaid = false;
    return;
  }
  auto now = timer.now();
  if (outOfReachSince == nullptr) outOfReachSince = now;
  bool isLong = now - KJ_ASSERT_NONNULL(outOfReachSince) >= reachPatience();
  // sayProgress() tells of it, or countInVain() did.
  if (!isSettled || roundsInVain >= ROUNDS_IN_VAIN) return;
  if (isObstacleSaid || !isLong) return;
  isObstacleSaid = true;
  logger.log(LogLevel::WARNING, "the chain cannot be followed",
             {{"cause", kj::mv(KJ_ASSERT_NONNULL(obstacle))}});
}

void LatencyCounts::add(double seconds) {
  size_t i = 0;
  while (i < std::size(BOUNDS) && seconds > BOUNDS[i]) ++i;
  ++counts[i];
  sum += seconds;
}

kj::Maybe<kj::String> StemFollower::findProblem() const {
  KJ_IF_MAYBE(e, failure) return kj::str(e->getDescription());
  if (!isSettled) return whyItWaits();
  auto now = timer.now();
  if (roundsInVain >= ROUNDS_IN_VAIN) return kj::str(whyInVain);
  KJ_IF_MAYBE(since, outOfReachSince) {
    if (now - *since >= reachPatience()) {
      KJ_IF_MAYBE(obstacle, findObstacle()) return kj::mv(*obstacle);
    }
  }
  if (now - latestMoved >= LATEST_PATIENCE) {
    return kj::str("no quorum of providers has told of a block after ", topLatest, " for ",
                   (now - latestMoved) / kj::SECONDS, " s");
  }
  if (now - finalMoved >= FINAL_PATIENCE) {
    return kj::str("no block after ", KJ_ASSERT_NONNULL(cursor).final.number,
                   " has become final for ", (now - finalMoved) / kj::SECONDS, " s");
  }
  KJ_IF_MAYBE(why, unkept) return kj::str("how far the chain was followed is not kept: ", *why);
  return nullptr;
}

uint64_t StemFollower::disagreementCount() const {
  uint64_t sum = 0;
  for (auto& member: members) sum += member->disagreements;
  return sum;
}

FollowerStatus StemFollower::getStatus() const {
  FollowerStatus status;
  KJ_IF_MAYBE(kept, cursor) {
    status.chainId = kept->chainId;
    status.epoch = kept->epoch.clone();
    status.final = kept->final.number;
    status.pendingSeq = newestHint().map([](const StemHead& head) { return head.seq; });
  }
  status.latest = topLatest;
  status.problem = findProblem();
  status.providers = KJ_MAP(member, members) { return member->toStatus(); };
  return status;
}

}  // namespace ww
