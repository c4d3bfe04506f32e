#include <ww/stem/follower.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/stem/follower-member.h>
#include <ww/stem/hex.h>

namespace ww {
namespace {

// A round that takes longer is given up for a newer one.
constexpr kj::Duration ROUND_PATIENCE = 15 * kj::SECONDS;

// For the disk to take what was adopted.
constexpr kj::Duration SAVE_PATIENCE = 5 * kj::SECONDS;

// Of blocks whose events are read after a head was adopted.
constexpr uint64_t MAX_AUDIT_BLOCKS = 50'000;

// For all providers to be heard, before the first height is chosen: it may not be that of the two
// that were fastest.
constexpr kj::Duration FIRST_PATIENCE = 3 * kj::SECONDS;

kj::String epochText(const kj::Maybe<StemHead>& head) {
  KJ_IF_MAYBE(h, head) return kj::str("head ", h->seq, " (", hexDataOf(h->value), ")");
  return kj::str("no contract");
}

}  // namespace

StemFollower::StemFollower(FollowerOptions options, kj::Array<kj::Own<ChainReader>> readers,
                           CursorStore& store, kj::Timer& timer,
                           kj::Function<uint64_t()> random, Logger& logger)
    : StemFollower(kj::mv(options), kj::mv(readers), store, timer, kj::mv(random), logger,
                   kj::newPromiseAndFulfiller<void>()) {}

StemFollower::StemFollower(FollowerOptions options, kj::Array<kj::Own<ChainReader>> readers,
                           CursorStore& store, kj::Timer& timer,
                           kj::Function<uint64_t()> random, Logger& logger,
                           kj::PromiseFulfillerPair<void> paf)
    : options(kj::mv(options)), store(store), timer(timer), random(kj::mv(random)),
      logger(logger), members(KJ_MAP(reader, readers) { return kj::heap<Member>(kj::mv(reader)); }),
      changedFulfiller(kj::mv(paf.fulfiller)), changed(paf.promise.fork()), tasks(*this) {
  KJ_REQUIRE(this->options.quorum >= 1 && this->options.quorum <= members.size());
}

StemFollower::~StemFollower() noexcept(false) {}

kj::Promise<void> StemFollower::start() {
  tasks.add(sayProgress());
  cursor = co_await store.load(options.contract);
  KJ_IF_MAYBE(kept, cursor) {
    KJ_IF_MAYBE(id, options.chainId) {
      if (kept->chainId != *id) {
        kj::throwFatalException(badInput(kj::str("this contract was followed on chain ",
            kept->chainId, " before, and not on ", *id, ": give another --data-dir")));
      }
    }
  }
  latestMoved = finalMoved = startedAt = timer.now();
  tasks.add(timer.afterDelay(FIRST_PATIENCE).then([this]() { beginRound(); }));
  for (auto& member: members) {
    member->moved = timer.now();
    tasks.add(watch(*member));
    tasks.add(listen(*member));
  }
  while (!isSettled) {
    KJ_IF_MAYBE(e, failure) kj::throwFatalException(kj::cp(*e));
    KJ_IF_MAYBE(why, whyItCannotBegin()) kj::throwFatalException(badInput(*why));
    co_await changed.addBranch();
  }
}

kj::Maybe<kj::String> StemFollower::whyItCannotBegin() const {
  kj::Vector<kj::String> lacks;
  for (auto& member: members) {
    if (member->state == ProviderStatus::LACKS) {
      lacks.add(kj::str(member->reader->getName(), ": ", member->problem));
    }
  }
  if (members.size() - lacks.size() >= options.quorum) return nullptr;
  return kj::str("too few providers of the chain can be used. ", kj::strArray(lacks, "; "));
}

Epoch StemFollower::current() { return KJ_REQUIRE_NONNULL(cursor).epoch.clone(); }

kj::Promise<Epoch> StemFollower::nextAfter(uint64_t seq) {
  KJ_IF_MAYBE(e, failure) return kj::cp(*e);
  KJ_IF_MAYBE(c, cursor) {
    if (c->epoch.seq > seq) return c->epoch.clone();
  }
  return changed.addBranch().then([this, seq]() { return nextAfter(seq); });
}

void StemFollower::announce() {
  auto told = kj::mv(changedFulfiller);
  auto paf = kj::newPromiseAndFulfiller<void>();
  changedFulfiller = kj::mv(paf.fulfiller);
  changed = paf.promise.fork();
  told->fulfill();
}

void StemFollower::close(kj::String why) {
  if (failure != nullptr) return;
  failure = ww::failure(REORG_TOO_DEEP, why);
  announce();
}

// ---- Rounds -----------------------------------------------------------------------------------

void StemFollower::beginRound() {
  if (failure != nullptr || isAdopting) return;
  auto now = timer.now();
  if (round.state == Round::ASKING && now - round.since < ROUND_PATIENCE) return;
  if (!isSettled && now - startedAt < FIRST_PATIENCE && !allHeard()) return;
  auto finals = comparableFinals();
  bool isInVain = round.wasInVain || round.state == Round::ASKING ||
                  round.state == Round::UNDECIDED;
  KJ_IF_MAYBE(height, heightOf(finals, options.quorum)) {
    if (isInVain) *height = lowerHeight(finals).orDefault(*height);
    if (!isWorthARound(*height)) return;
    if (round.state == Round::ASKING) countInVain();
    if (newsSince == nullptr) newsSince = now;
    auditFrom = nullptr;
    // A liar that claims the highest block would have all others asked about what few have.
    round = {Round::ASKING, round.id + 1, *height,
             cursor.map([](const StemCursor& c) { return c.final.number; }), now, isInVain};
    for (auto& member: members) {
      member->vote = nullptr;
      member->claimed = nullptr;
      member->hasAnswered = false;
      member->ring();
    }
  }
}

// One failure may pass.
bool StemFollower::allHeard() const {
  for (auto& member: members) {
    bool isLost = member->state == ProviderStatus::LACKS || member->failuresInRow > 1;
    if (member->view == nullptr && !isLost) return false;
  }
  return true;
}

// Of a chain that a quorum is of: votes of different chains are never alike.
bool StemFollower::isComparable(const Member& member) const {
  if (member.view == nullptr || member.chainId == nullptr) return false;
  kj::uint same = 0;
  for (auto& other: members) {
    same += other->view != nullptr && other->chainId == member.chainId;
  }
  return same >= options.quorum;
}

kj::Array<uint64_t> StemFollower::comparableFinals() const {
  kj::Vector<uint64_t> finals;
  for (auto& member: members) {
    if (!isComparable(*member)) continue;
    KJ_IF_MAYBE(final, member->findFinal()) finals.add(final->number);
  }
  return finals.releaseAsArray();
}

// The next below the one that was asked about in vain, which more have reached, of those above what
// was acted upon; where there is none, the lowest.
kj::Maybe<uint64_t> StemFollower::lowerHeight(kj::ArrayPtr<const uint64_t> finals) const {
  kj::Maybe<uint64_t> next, lowest;
  for (auto final: finals) {
    bool isNews = cursor.map([&](const StemCursor& kept) {
      return final > kept.final.number;
    }).orDefault(true);
    if (!isNews) continue;
    if (final < lowest.orDefault(kj::maxValue)) lowest = final;
    if (final < round.height && final >= next.orDefault(0)) next = final;
  }
  return next == nullptr ? lowest : next;
}

bool StemFollower::isWorthARound(uint64_t height) const {
  KJ_IF_MAYBE(kept, cursor) {
    if (height < kept->final.number) return false;  // providers that are behind
  }
  if (round.state == Round::IDLE || height != round.height) return true;
  if (timer.now() - round.since < options.interval) return false;
  return round.state != Round::DECIDED || isReplaced(height);
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

// A member has voted, or cannot.
void StemFollower::answered(Member& member) {
  member.hasAnswered = true;
  if (round.state == Round::DECIDED) {
    return compare(member);
  }
  if (round.state == Round::IDLE) return beginRound();
  // Where two may have a quorum each, all are heard first.
  bool mayBeTwo = 2 * options.quorum <= members.size();
  if (mayBeTwo && !allAnswered()) return;
  auto votes = currentVotes();
  KJ_IF_MAYBE(index, agreedAmong(votes, options.quorum)) {
    return decide(KJ_ASSERT_NONNULL(votes[*index]));
  }
  endRound();
}

// One member's word with what was decided.
void StemFollower::compare(Member& member) {
  auto& agreed = KJ_ASSERT_NONNULL(decided);
  KJ_IF_MAYBE(vote, member.vote) {
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
    disagree(member, kj::str("at block ", agreed.block.number, " it says ",
        epochText(vote->head), " in ", toText(vote->block.hash), " of chain ", vote->chainId,
        "; a quorum says ", epochText(agreed.head), " in ", toText(agreed.block.hash)));
    return;
  }
  // No head can be asked for in a block that it made up.
  KJ_IF_MAYBE(hash, member.claimed) {
    if (member.hasAnswered && member.owesVote && !(*hash == agreed.block.hash)) {
      disagree(member, kj::str("block ", agreed.block.number, " is ", toText(*hash),
                               " to it, and ", toText(agreed.block.hash), " to a quorum"));
    }
  }
}

bool StemFollower::allAnswered() const {
  for (auto& member: members) {
    if (member->findFinal() != nullptr && !member->hasAnswered) return false;
  }
  return true;
}

// If none is left to ask: they do not agree. Those that have yet to reach the block are waited for,
// up to ROUND_PATIENCE.
void StemFollower::endRound() {
  if (round.state != Round::ASKING || !allAnswered()) return;
  round.state = Round::UNDECIDED;
  countInVain();
  auto votes = currentVotes();
  kj::uint voted = 0;
  for (auto& vote: votes) voted += vote != nullptr;
  if (voted < options.quorum) return;
  auto how = haveQuorumEach(votes, options.quorum)
      ? kj::str("two answers have a quorum each at block ", round.height)
      : kj::str("no quorum agrees at block ", round.height);
  for (auto& member: members) {
    KJ_IF_MAYBE(vote, member->vote) {
      disagree(*member, kj::str(how, "; it says ", epochText(vote->head), " in ",
                                toText(vote->block.hash), " of chain ", vote->chainId));
    }
  }
}

kj::Array<kj::Maybe<Vote>> StemFollower::currentVotes() const {
  return KJ_MAP(member, members) -> kj::Maybe<Vote> {
    return member->vote.map([](const Vote& vote) { return vote.clone(); });
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
  round.state = Round::DECIDED;
  round.wasInVain = false;
  if (roundsInVain >= ROUNDS_IN_VAIN) {
    logger.log(LogLevel::INFO, "the providers of the chain have a quorum again", {});
  }
  roundsInVain = 0;
  decided = agreed.clone();
  for (auto& member: members) compare(*member);
  KJ_IF_MAYBE(why, contradiction(agreed)) {
    return close(kj::mv(*why));
  }
  if (agreed.head == nullptr) {
    if (isAbsent) return;
    isAbsent = true;
    logger.log(LogLevel::WARNING, "no Stem contract is at this address yet; waiting for it",
               {{"contract", toText(options.contract)}, {"chain", kj::str(agreed.chainId)},
                {"final block", kj::str(agreed.block.number)}});
    return;
  }
  isAdopting = true;
  tasks.add(adopt(agreed.clone()));
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

kj::Promise<void> StemFollower::adopt(Vote vote) {
  auto& head = KJ_ASSERT_NONNULL(vote.head);
  StemCursor next{vote.chainId, vote.block, {}};
  bool isNew = true;
  kj::Maybe<uint64_t> before;
  bool hasMoved = cursor.map([&](const StemCursor& kept) {
    return vote.block.number > kept.final.number;
  }).orDefault(true);
  KJ_IF_MAYBE(kept, cursor) {
    isNew = head.seq > kept->epoch.seq;
    before = kept->final.number;
    next.epoch = kept->epoch.clone();
  }
  if (isNew) next.epoch = {head.seq, kj::heapArray<const kj::byte>(head.value), vote.block.number};
  // Kept before it counts: a node that is killed in between has it when it starts again.
  kj::Maybe<kj::String> problem;
  // But the end of older authority waits for no disk that hangs.
  co_await store.save(options.contract, next.clone())
      .exclusiveJoin(timer.afterDelay(SAVE_PATIENCE).then([]() {
    kj::throwFatalException(badInput(kj::str("it takes longer than ", SAVE_PATIENCE)));
  })).catch_([&](kj::Exception&& e) { problem = kj::str(e.getDescription()); });
  if (problem != nullptr && unkept == nullptr) {
    logger.log(LogLevel::ERROR, "how far the chain was followed cannot be kept; a restart may not "
               "know of this epoch until the chain tells it again",
               {{"cause", kj::str(KJ_ASSERT_NONNULL(problem))}});
  }
  unkept = kj::mv(problem);
  cursor = kj::mv(next);
  newsSince = nullptr;
  isAdopting = false;
  isSettled = true;
  if (hasMoved) finalMoved = timer.now();
  if (isNew) {
    latencies.add((timer.now() - newsSince.orDefault(round.since)) / kj::NANOSECONDS * 1e-9);
    logger.log(LogLevel::INFO, "a head is final on the chain",
               {{"epoch", kj::str(head.seq)}, {"head", hexDataOf(head.value)},
                {"block", kj::str(vote.block.number)}, {"chain", kj::str(vote.chainId)}});
  }
  announce();
  leaveOtherChains();
  if (isNew) auditFrom = before.map([](uint64_t former) { return former + 1; });
  for (auto& member: members) {
    checkHints(*member, vote);
    bool isSame = member->vote.map([&](const Vote& v) { return v == vote; }).orDefault(false);
    if (isSame) compare(*member);
  }
  beginRound();
}

// Those that were asked before it was known which chain is followed.
void StemFollower::leaveOtherChains() {
  for (auto& member: members) {
    KJ_IF_MAYBE(id, member->chainId) isMeant(*member, uint64_t(*id));
  }
}

// The contract's events since must lead to its head.
kj::Promise<void> StemFollower::audit(Member& member, uint64_t from, Vote agreed) {
  if (member.isAudited) co_return;
  member.isAudited = true;
  KJ_DEFER(member.isAudited = false);
  auto to = agreed.block.number;
  from = kj::max(from, to - kj::min(to, MAX_AUDIT_BLOCKS));
  kj::Maybe<kj::Array<HeadLog>> found;
  co_await member.reader->logs(from, to).then([&](kj::Array<HeadLog>&& logs) {
    found = kj::mv(logs);
  }, [&](kj::Exception&& e) {
    logger.log(LogLevel::DEBUG, "a provider does not give the contract's events",
               {{"provider", kj::str(member.reader->getName())},
                {"cause", kj::str(e.getDescription())}});
  });
  KJ_IF_MAYBE(logs, found) {
    auto& head = KJ_ASSERT_NONNULL(agreed.head);
    const HeadLog* newest = nullptr;
    for (auto& log: *logs) {
      if (newest == nullptr || log.isAfter(*newest)) newest = &log;
    }
    if (newest == nullptr || !(newest->head == head)) {
      disagree(member, kj::str("its events of blocks ", from, " to ", to,
                               " do not lead to head ", head.seq, ", which it says too"));
    }
  }
}

void StemFollower::taskFailed(kj::Exception&& exception) {
  logger.log(LogLevel::ERROR, "following the chain failed",
             {{"cause", kj::str(exception.getDescription())}});
}

}  // namespace ww
