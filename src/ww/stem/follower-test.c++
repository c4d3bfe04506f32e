// Following a simulated chain: what is adopted and when, who is named, and what ends it.
#include <ww/stem/follower-fixture-test.h>

namespace ww {
namespace {

using Fixture = FollowerFixture;

kj::StringPtr textOf(const Epoch& epoch) { return kj::StringPtr(reinterpret_cast<const char*>(
    epoch.head.begin()), epoch.head.size()); }

KJ_TEST("a head is adopted once its block is final, with the block at which it was") {
  Fixture f(3);
  f.mine(5);
  f.start();
  KJ_EXPECT(f.seq() == 0);
  KJ_EXPECT(f.follower->current().adoptedBlock == 2);

  f.chain.mine(1);
  f.mine(2);
  f.settle();
  KJ_EXPECT(f.seq() == 0, "two blocks above it are not three");
  auto next = f.follower->nextAfter(0);
  KJ_EXPECT(!next.poll(f.waitScope));
  f.mine(1);
  f.settle();
  auto epoch = next.wait(f.waitScope);
  KJ_EXPECT(epoch.seq == 1);
  KJ_EXPECT(epoch.adoptedBlock == 6);
  KJ_EXPECT(epoch.head.asPtr() == f.chain.headAt(6).value.asPtr());
  KJ_EXPECT(f.follower->getStatus().final == 6);
}

KJ_TEST("several heads at once: the newest counts; later blocks without one change nothing") {
  Fixture f(0);
  f.start();
  f.mine(2, 2);
  f.settle();
  auto epoch = f.follower->current();
  KJ_EXPECT(epoch.seq == 4);
  f.mine(10);
  f.settle();
  KJ_EXPECT(f.follower->current().adoptedBlock == epoch.adoptedBlock);
  KJ_EXPECT(f.follower->getStatus().final == 12);
  KJ_EXPECT(f.follower->disagreementCount() == 0);
}

KJ_TEST("a chain that is too young, and a contract that is not there yet, are waited for") {
  Fixture f(3);
  f.readers[0]->hasContract = false;
  f.begin();
  f.settle();
  KJ_EXPECT(!f.starting.poll(f.waitScope));
  f.mine(5);
  f.settle();
  KJ_EXPECT(!f.starting.poll(f.waitScope));
  KJ_EXPECT(f.logged("no Stem contract is at this address yet"));
  KJ_EXPECT(f.follower->findProblem() != nullptr);
  f.readers[0]->hasContract = true;
  f.mine(1);
  f.settle();
  f.starting.wait(f.waitScope);
  KJ_EXPECT(f.seq() == 0);
  KJ_EXPECT(f.follower->findProblem() == nullptr);
}

KJ_TEST("a provider that fails is asked again, later each time, and is heard when it is back") {
  Fixture f(0);
  f.start();
  f.readers[0]->failures = 6;
  f.mine(1, 1);
  f.pass(30 * kj::SECONDS);
  KJ_EXPECT(f.seq() == 0);
  auto status = f.follower->getStatus();
  KJ_EXPECT(status.providers[0].state == ProviderStatus::FAILS);
  KJ_EXPECT(status.providers[0].failures == 5, status.providers[0].failures);
  f.pass(90 * kj::SECONDS);
  KJ_EXPECT(f.seq() == 1);
  KJ_EXPECT(f.follower->getStatus().providers[0].state == ProviderStatus::ANSWERS);
  KJ_EXPECT(f.logged("a provider of the chain answers again"));
}

KJ_TEST("one that pushes is looked at when it does, and not only at the interval") {
  Fixture f(0);
  f.start();
  f.pass(1 * kj::SECONDS);
  f.mine(1, 1);
  f.pass(1 * kj::SECONDS);
  KJ_EXPECT(f.seq() == 0);
  f.readers[0]->push(nullptr);
  f.pass(1 * kj::SECONDS);
  KJ_EXPECT(f.seq() == 1);
}

KJ_TEST("hints without end cost no more than a look each fifth of a second") {
  Fixture f(0);
  f.start();
  auto before = f.readers[0]->calls;
  for (kj::uint i = 0; i < 100; i++) {
    for (kj::uint j = 0; j < 100; j++) f.readers[0]->push(nullptr);
    f.pass(100 * kj::MILLISECONDS);
  }
  KJ_EXPECT(f.readers[0]->calls - before <= 60, f.readers[0]->calls - before);
}

KJ_TEST("one of three that is silent, fails, or lags holds nothing up") {
  Fixture f(0, 3);
  f.start();
  f.readers[0]->isSilent = true;
  f.mine(1, 1);
  f.settle();
  KJ_EXPECT(f.seq() == 1);
  f.readers[0]->isSilent = false;
  f.readers[1]->failures = 1000;
  f.readers[2]->lag = 0;
  f.settle();
  f.readers[2]->lag = 2;
  f.mine(3, 1);
  f.pass(20 * kj::SECONDS);
  KJ_EXPECT(f.seq() <= 2, "two have reached no more");
}

KJ_TEST("one of three forges the head: nothing is adopted of it, and it is named") {
  Fixture f(0, 3);
  f.start();
  f.readers[1]->forgedHead = StemHead{99, kj::heapArray<const kj::byte>("evil"_kj.asBytes())};
  f.mine(1);
  f.settle();
  KJ_EXPECT(f.seq() == 0);
  KJ_EXPECT(f.failure() == "");
  auto status = f.follower->getStatus();
  KJ_EXPECT(status.providers[1].state == ProviderStatus::DISAGREES);
  KJ_EXPECT(status.providers[0].state == ProviderStatus::ANSWERS);
  KJ_EXPECT(f.logged("not at one with the others provider=b"));
  f.mine(1, 1);
  f.settle();
  KJ_EXPECT(f.seq() == 1);
  f.readers[1]->forgedHead = nullptr;
  f.mine(1);
  f.settle();
  KJ_EXPECT(f.follower->getStatus().providers[1].state == ProviderStatus::ANSWERS);
}

KJ_TEST("two of three that forge the head alike are a quorum: more is not promised") {
  Fixture f(0, 3);
  f.start();
  for (auto i: {0, 1}) {
    f.readers[i]->forgedHead = StemHead{99, kj::heapArray<const kj::byte>("evil"_kj.asBytes())};
  }
  f.mine(1);
  f.settle();
  KJ_EXPECT(f.seq() == 99);
  KJ_EXPECT(f.follower->getStatus().providers[2].state == ProviderStatus::DISAGREES);
}

KJ_TEST("two against two, where two are a quorum: nothing is adopted, and all are named") {
  Fixture f(0, 4);
  f.options.quorum = 2;
  f.make(4);
  f.start();
  for (auto i: {0, 1}) {
    f.readers[i]->forgedHead = StemHead{9, kj::heapArray<const kj::byte>("evil"_kj.asBytes())};
  }
  for (auto i: {2, 3}) f.readers[i]->slowness = 20;
  f.mine(1, 1);
  f.settle();
  KJ_EXPECT(f.seq() == 0);
  KJ_EXPECT(f.follower->disagreementCount() >= 4);
  KJ_EXPECT(f.failure() == "");
}

KJ_TEST("an event far above its own latest block is named at once") {
  Fixture f(0);
  f.start();
  f.readers[0]->push(HeadLog{{7, nullptr}, {uint64_t(1) << 60, {}}, 0, false});
  f.settle();
  KJ_EXPECT(f.follower->disagreementCount() == 1);
  KJ_EXPECT(f.follower->getStatus().pendingSeq == nullptr);
}

KJ_TEST("one of three forges an event: nothing is adopted of it, and it is named") {
  Fixture f(1, 3);
  f.mine(1);
  f.start();
  auto told = f.follower->onPending();
  KJ_EXPECT(f.follower->findPending() == nullptr);
  f.readers[2]->push(HeadLog{{7, kj::heapArray<const kj::byte>("evil"_kj.asBytes())},
                             f.chain.refAt(f.chain.latest()), 0, false});
  f.settle();
  KJ_EXPECT(f.seq() == 0);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.follower->getStatus().pendingSeq) == 7);
  told.wait(f.waitScope);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.follower->findPending()) == "evil"_kj.asBytes());
  f.mine(2);
  f.settle();
  KJ_EXPECT(f.seq() == 0);
  KJ_EXPECT(f.follower->getStatus().providers[2].disagreements == 1);
  KJ_EXPECT(f.logged("provider=c"));
  KJ_EXPECT(f.follower->getStatus().pendingSeq == nullptr);
  KJ_EXPECT(f.follower->findPending() == nullptr);
}

KJ_TEST("one of three hides the contract's events: it is named, and the head is adopted") {
  Fixture f(0, 3);
  f.start();
  f.readers[0]->hidesLogs = true;
  f.mine(1, 1);
  f.settle();
  KJ_EXPECT(f.seq() == 1);
  KJ_EXPECT(f.follower->getStatus().providers[0].state == ProviderStatus::DISAGREES);
  KJ_EXPECT(f.follower->disagreementCount() == 1);
}

KJ_TEST("one that calls final what it does not vote for is named, and wastes nobody's calls") {
  Fixture f(0, 3);
  f.start();
  f.readers[0]->forgesFinalHash = true;
  f.pass(20 * kj::SECONDS);
  auto before = f.readers[1]->calls;
  f.pass(1 * kj::MINUTES);
  auto perLook = 1, looks = int(1 * kj::MINUTES / f.options.interval) + 1;
  KJ_EXPECT(f.readers[1]->calls - before <= kj::uint(perLook * looks),
            f.readers[1]->calls - before);
  KJ_EXPECT(f.follower->getStatus().providers[0].state == ProviderStatus::DISAGREES);
  KJ_EXPECT(f.follower->getStatus().providers[1].state == ProviderStatus::ANSWERS);
  f.mine(1, 1);
  f.settle();
  KJ_EXPECT(f.seq() == 1);
}

KJ_TEST("a block that is replaced at the same height is seen, if it was final and if it was not") {
  Fixture f(1, 3);
  f.mine(3);
  f.start();
  f.chain.takeBack(1);
  f.mine(1, 1);
  f.settle();
  KJ_EXPECT(f.failure() == "");
  KJ_EXPECT(f.follower->disagreementCount() == 0);
  f.chain.takeBack(2);
  f.mine(2);
  f.settle();
  KJ_EXPECT(f.failure() == "", "it is asked again");
  f.settle();
  KJ_EXPECT(f.failure().startsWith("reorg-too-deep: block 2 was"), f.failure());
  KJ_EXPECT(f.follower->disagreementCount() == 0);
}

KJ_TEST("a liar that has reached everything, and says so at once, waits for nobody's quorum") {
  Fixture f(0, 3);
  f.start();
  f.readers[0]->forgedHead = StemHead{9, kj::heapArray<const kj::byte>("evil"_kj.asBytes())};
  f.readers[2]->lag = 1;
  for (kj::uint i = 0; i < 10; i++) {  // blocks that are faster than a round's second try
    f.mine(1, 1);
    f.pass(1 * kj::SECONDS);
  }
  f.readers[2]->lag = 0;
  f.settle();
  KJ_EXPECT(f.seq() == 10);

  f.readers[2]->lag = 40;  // further behind than a round waits
  for (kj::uint i = 0; i < 90; i++) {
    f.mine(1, 1);
    f.pass(1 * kj::SECONDS);
  }
  KJ_EXPECT(f.seq() >= 40, f.seq(), "what both have reached");
  KJ_EXPECT(f.failure() == "");
}

KJ_TEST("one that votes late is audited too") {
  Fixture f(0, 3);
  f.start();
  f.readers[2]->slowness = 100;
  f.readers[2]->hidesLogs = true;
  f.mine(1, 1);
  f.settle();
  KJ_EXPECT(f.seq() == 1);
  KJ_EXPECT(f.follower->getStatus().providers[2].state == ProviderStatus::DISAGREES);
  KJ_EXPECT(f.follower->disagreementCount() == 1);
}

KJ_TEST("one of three stands still: it is named after five minutes, and the others go on") {
  Fixture f(0, 3);
  f.start();
  f.readers[0]->frozenAt = f.chain.latest();
  for (kj::uint i = 0; i < 7; i++) {
    f.mine(1, 1);
    f.pass(1 * kj::MINUTES);
  }
  KJ_EXPECT(f.seq() == 7);
  KJ_EXPECT(f.follower->getStatus().providers[0].state == ProviderStatus::FROZEN);
  KJ_EXPECT(f.follower->findProblem() == nullptr);
  f.readers[0]->frozenAt = nullptr;
  f.settle();
  KJ_EXPECT(f.follower->getStatus().providers[0].state == ProviderStatus::ANSWERS);
}

KJ_TEST("a chain that stands still for five minutes is a problem, until it moves") {
  Fixture f(0, 3);
  f.start();
  f.pass(5 * kj::MINUTES - 10 * kj::SECONDS);
  KJ_EXPECT(f.follower->findProblem() == nullptr);
  f.pass(20 * kj::SECONDS);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.follower->findProblem()).startsWith("no quorum of providers"));
  f.mine(1);
  f.settle();
  KJ_EXPECT(f.follower->findProblem() == nullptr);
}

KJ_TEST("a chain on which nothing becomes final for half an hour is a problem") {
  Fixture f(0);
  f.start();
  auto before = f.chain.latest();
  for (kj::uint i = 0; i < 31; i++) {
    f.mine(1);
    f.readers[0]->finalAt = before;
    f.pass(1 * kj::MINUTES);
  }
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.follower->findProblem()).startsWith("no block after"));
}

KJ_TEST("providers of another chain, or without the finality that is asked for, cannot be used") {
  Fixture f(0, 3);
  f.options.chainId = SimChain::ID;
  f.make(3);
  f.readers[0]->id = 1;
  f.start();
  KJ_EXPECT(f.follower->getStatus().providers[0].state == ProviderStatus::LACKS);
  KJ_EXPECT(f.logged("it is of chain 1, and not of 31337"));

  f.make(3);
  for (auto i: {0, 1}) f.readers[i]->lacks = kj::str("it has no such block: --finality depth:K");
  f.begin();
  KJ_EXPECT(!f.starting.poll(f.waitScope));
  f.pass(5 * kj::SECONDS);
  KJ_EXPECT(f.starting.poll(f.waitScope));
  KJ_EXPECT_THROW_MESSAGE("--finality depth:K", f.starting.wait(f.waitScope));
}

KJ_TEST("a restart goes on from where it was, and never from an older epoch") {
  Fixture f(0);
  f.start();
  f.mine(3, 1);
  f.settle();
  KJ_EXPECT(f.seq() == 3);
  f.make(1);
  f.readers[0]->lag = 2;
  f.begin();
  f.settle();
  KJ_EXPECT(!f.starting.poll(f.waitScope), "the provider is behind");
  f.readers[0]->lag = 0;
  f.settle();
  f.starting.wait(f.waitScope);
  KJ_EXPECT(f.seq() == 3);
  KJ_EXPECT(f.follower->current().adoptedBlock == 3);
  auto epoch = f.follower->current();
  KJ_EXPECT(textOf(epoch).startsWith("head 3"));
}

// A disk that is full, or hangs.
class FailingStore final: public CursorStore {
 public:
  bool hangs = false;
  kj::Promise<kj::Maybe<StemCursor>> load(const EthAddress&) override {
    return kj::Maybe<StemCursor>(nullptr);
  }
  kj::Promise<void> save(const EthAddress&, StemCursor) override {
    if (hangs) return kj::NEVER_DONE;
    return badInput("the disk is full");
  }
  kj::Promise<void> forget(const EthAddress&) override { return kj::READY_NOW; }
};

KJ_TEST("what cannot be kept is a problem, and is adopted all the same") {
  Fixture f(0);
  FailingStore store;
  auto readers = kj::heapArrayBuilder<kj::Own<ChainReader>>(1);
  readers.add(kj::heap<SimReader>(f.chain, "a", f.timer));
  f.follower = kj::heap<StemFollower>(f.options, readers.finish(), store, f.timer,
                                      []() { return 0; }, f.logger);
  f.start();
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.follower->findProblem()).endsWith("the disk is full"));
  store.hangs = true;
  f.mine(1, 1);
  f.pass(9 * kj::SECONDS);
  KJ_EXPECT(f.seq() == 1);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.follower->findProblem()).endsWith("it takes longer than 5s"));
  f.follower = nullptr;
}

KJ_TEST("what was final and is no more ends it, before and after a restart") {
  Fixture f(2);
  f.mine(6, 1);
  f.start();
  KJ_EXPECT(f.seq() == 4);
  f.chain.takeBack(3);
  f.mine(3);
  f.settle();
  KJ_EXPECT(f.failure() == "", "it is asked again");
  f.settle();
  auto why = f.failure();
  KJ_EXPECT(why.startsWith("reorg-too-deep: block 4 was 0x"), why);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.follower->findProblem()) == why);
  f.make(1);
  f.begin();
  f.settle();
  KJ_EXPECT_THROW_MESSAGE("reorg-too-deep: block 4 was", f.starting.wait(f.waitScope));
  f.store.forget(f.options.contract).wait(f.waitScope);
  f.make(1);
  f.start();
  KJ_EXPECT(f.seq() == 3);
}

KJ_TEST("a head that goes back ends it, though the blocks stand") {
  Fixture f(0);
  f.mine(2, 1);
  f.start();
  f.readers[0]->forgedHead = f.chain.headAt(1).clone();
  f.mine(1);
  f.settle();
  KJ_EXPECT(f.failure() == "", "it is asked again");
  f.settle();
  KJ_EXPECT(f.failure().startsWith("reorg-too-deep: the head was 2"), f.failure());
}

KJ_TEST("a contract that is gone ends it") {
  Fixture f(0);
  f.start();
  f.readers[0]->hasContract = false;
  f.mine(1);
  f.settle();
  KJ_EXPECT(f.failure() == "", "it is asked again");
  f.settle();
  KJ_EXPECT(f.failure().startsWith("reorg-too-deep: the contract is gone"), f.failure());
}

}  // namespace
}  // namespace ww
