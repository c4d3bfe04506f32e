#include <ww/stem/follower.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/stem/follower-member.h>
#include <ww/stem/hex.h>

namespace ww {
namespace {

// For the disk to take what was adopted.
constexpr kj::Duration SAVE_PATIENCE = 5 * kj::SECONDS;

// Of blocks whose events are read after a head was adopted.
constexpr uint64_t MAX_AUDIT_BLOCKS = 50'000;

}  // namespace

StemFollower::StemFollower(FollowerOptions options, kj::Array<kj::Own<ChainReader>> readers,
                           CursorStore& store, kj::Timer& timer,
                           kj::Function<uint64_t()> random, Logger& logger)
    : StemFollower(kj::mv(options), kj::mv(readers), store, timer, kj::mv(random), logger,
                   kj::newPromiseAndFulfiller<void>(), kj::newPromiseAndFulfiller<void>()) {}

StemFollower::StemFollower(FollowerOptions options, kj::Array<kj::Own<ChainReader>> readers,
                           CursorStore& store, kj::Timer& timer,
                           kj::Function<uint64_t()> random, Logger& logger,
                           kj::PromiseFulfillerPair<void> paf,
                           kj::PromiseFulfillerPair<void> hintPaf)
    : options(kj::mv(options)), store(store), timer(timer), random(kj::mv(random)),
      logger(logger), members(KJ_MAP(reader, readers) { return kj::heap<Member>(kj::mv(reader)); }),
      changedFulfiller(kj::mv(paf.fulfiller)), changed(paf.promise.fork()),
      hintedFulfiller(kj::mv(hintPaf.fulfiller)), hinted(hintPaf.promise.fork()), tasks(*this) {
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
  for (auto patience: {FIRST_PATIENCE, FIRST_PATIENCE_APART}) {
    tasks.add(timer.afterDelay(patience).then([this]() { beginRound(); }));
  }
  for (auto& member: members) {
    member->moved = member->finalMoved = timer.now();
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

// ---- Adoption ---------------------------------------------------------------------------------

kj::Promise<void> StemFollower::adopt(Vote vote) {
  isAdopting = true;
  KJ_DEFER(isAdopting = false);
  auto& head = KJ_ASSERT_NONNULL(vote.head);
  auto since = newsSince.orDefault(round.since);
  StemCursor next{vote.chainId, vote.block, {}};
  bool isNew = true;
  kj::Maybe<uint64_t> before;
  KJ_IF_MAYBE(kept, cursor) {
    isNew = head.seq > kept->epoch.seq;
    before = kept->final.number;
    next.epoch = kept->epoch.clone();
  }
  if (isNew) next.epoch = {head.seq, kj::heapArray<const kj::byte>(head.value), vote.block.number};
  // Kept before it counts: a node that is killed in between has it when it starts again.
  co_await keep(next.clone());
  cursor = kj::mv(next);
  newsSince = nullptr;
  isAdopting = false;
  isSettled = true;
  if (vote.block.number > before.orDefault(0) || before == nullptr) finalMoved = timer.now();
  if (isNew) {
    latencies.add((timer.now() - since) / kj::NANOSECONDS * 1e-9);
    logger.log(LogLevel::INFO, "a head is final on the chain",
               {{"epoch", kj::str(head.seq)}, {"head", hexDataOf(head.value)},
                {"block", kj::str(vote.block.number)}, {"chain", kj::str(vote.chainId)}});
  }
  announce();
  leaveOtherChains();
  if (isNew) auditFrom = before.map([](uint64_t former) { return former + 1; });
  for (auto& member: members) {
    checkHints(*member, vote);
    bool isSame = member->ballot.vote.map([&](const Vote& v) { return v == vote; })
        .orDefault(false);
    KJ_IF_MAYBE(from, auditFrom) {
      if (isSame) tasks.add(audit(*member, *from, vote.clone()));
    }
  }
  beginRound();
}

// Resolves when it is kept, or cannot be: the end of older authority waits for no disk that hangs.
kj::Promise<void> StemFollower::keep(StemCursor next) {
  unsaved = kj::mv(next);
  if (!isSaving) {
    isSaving = true;
    saving = saveAll().fork();
  }
  return saving.addBranch().exclusiveJoin(timer.afterDelay(SAVE_PATIENCE).then([this]() {
    setUnkept(kj::str("it takes longer than ", SAVE_PATIENCE));
  }));
}

// One at a time. Of those that come meanwhile the newest counts.
kj::Promise<void> StemFollower::saveAll() {
  KJ_DEFER(isSaving = false);
  for (;;) {
    kj::Maybe<kj::String> problem;
    KJ_IF_MAYBE(next, unsaved) {
      auto taken = kj::mv(*next);
      unsaved = nullptr;
      auto saved = kj::evalNow([&]() { return store.save(options.contract, kj::mv(taken)); });
      co_await saved.catch_([&](kj::Exception&& e) { problem = kj::str(e.getDescription()); });
    } else {
      co_return;
    }
    setUnkept(kj::mv(problem));
  }
}

void StemFollower::setUnkept(kj::Maybe<kj::String> why) {
  if (why != nullptr && unkept == nullptr) {
    logger.log(LogLevel::ERROR, "how far the chain was followed cannot be kept; a restart may not "
               "know of this epoch until the chain tells it again",
               {{"cause", kj::str(KJ_ASSERT_NONNULL(why))}});
  }
  unkept = kj::mv(why);
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
  bool isCut = to - from >= MAX_AUDIT_BLOCKS;  // the head may be of a block before
  if (isCut) from = to - MAX_AUDIT_BLOCKS + 1;
  kj::Maybe<kj::Array<HeadLog>> found;
  kj::Maybe<BlockHash> last;  // a machine behind that name may lag, and know of no events yet
  co_await member.reader->logs(from, to).then([&](kj::Array<HeadLog>&& logs) {
    found = kj::mv(logs);
    return member.reader->blockAt(to);
  }).then([&](kj::Maybe<BlockHash>&& hash) { last = hash; }, [&](kj::Exception&& e) {
    logger.log(LogLevel::DEBUG, "a provider does not give the contract's events",
               {{"provider", kj::str(member.reader->getName())},
                {"cause", kj::str(e.getDescription())}});
  });
  if (!(last == agreed.block.hash)) co_return;
  KJ_IF_MAYBE(logs, found) {
    auto& head = KJ_ASSERT_NONNULL(agreed.head);
    const HeadLog* newest = nullptr;
    for (auto& log: *logs) {
      if (newest == nullptr || log.isAfter(*newest)) newest = &log;
    }
    bool isOther = newest == nullptr ? !isCut : !(newest->head == head);
    if (isOther) {
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
