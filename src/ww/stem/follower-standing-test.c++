// What is held of a provider, and measured: who stands still, what is said how often, how long it
// takes to be asked again and to adopt a head.
#include <ww/stem/follower-fixture-test.h>

namespace ww {
namespace {

using Fixture = FollowerFixture;

ProviderStatus::State stateOf(const Fixture& f, kj::uint provider) {
  return f.follower->getStatus().providers[provider].state;
}

kj::uint timesLogged(const Fixture& f, kj::StringPtr text) {
  kj::uint times = 0;
  for (auto& line: f.logger.getLines()) times += strstr(line.cStr(), text.cStr()) != nullptr;
  return times;
}

StemHead evilHead() { return {9, kj::heapArray<const kj::byte>("evil"_kj.asBytes())}; }

KJ_TEST("one whose final block stands for half an hour is frozen, though its latest moves") {
  Fixture f(3, 3);
  f.mine(5, 1);
  f.start();
  auto stands = f.chain.latest() - 3;
  f.readers[2]->finalAt = stands;
  for (kj::uint i = 0; i < 29; i++) {
    f.mine(1, 1);
    f.pass(1 * kj::MINUTES);
  }
  KJ_EXPECT(stateOf(f, 2) == ProviderStatus::ANSWERS, "not before");
  for (kj::uint i = 0; i < 3; i++) {
    f.mine(1, 1);
    f.pass(1 * kj::MINUTES);
  }
  auto status = f.follower->getStatus();
  KJ_EXPECT(status.providers[2].state == ProviderStatus::FROZEN);
  KJ_EXPECT(status.providers[2].problem.startsWith("its final block is 2 for 1"),
            status.providers[2].problem);
  KJ_EXPECT(status.providers[2].disagreements == 1);
  KJ_EXPECT(f.logged("not at one with the others provider=c cause=\"its final block"));
  for (auto i: {0, 1}) KJ_EXPECT(stateOf(f, i) == ProviderStatus::ANSWERS);
  KJ_EXPECT(f.seq() + 3 >= f.chain.latest());
  KJ_EXPECT(f.follower->findProblem() == nullptr);

  f.readers[2]->finalAt = nullptr;
  f.settle();
  KJ_EXPECT(stateOf(f, 2) == ProviderStatus::ANSWERS);
  KJ_EXPECT(timesLogged(f, "is at one with the others again provider=c") == 1);
}

KJ_TEST("where no block becomes final to anybody, nobody is frozen for it") {
  Fixture f(0, 3);
  f.mine(5, 1);
  f.start();
  for (kj::uint i = 0; i < 40; i++) {
    f.mine(1);
    for (auto reader: f.readers) reader->finalAt = 5;
    f.pass(1 * kj::MINUTES);
  }
  for (auto i: {0, 1, 2}) KJ_EXPECT(stateOf(f, i) == ProviderStatus::ANSWERS);
  KJ_EXPECT(f.follower->disagreementCount() == 0);
}

KJ_TEST("one that forged once and is gone since is counted once, and fails") {
  Fixture f(0, 3);
  f.mine(3, 1);
  f.readers[2]->forgedHead = evilHead();
  f.start();
  KJ_EXPECT(f.follower->disagreementCount() == 1);
  KJ_EXPECT(stateOf(f, 2) == ProviderStatus::DISAGREES);
  f.readers[2]->failures = kj::maxValue;
  f.pass(2 * kj::MINUTES);
  KJ_EXPECT(f.follower->disagreementCount() == 1);
  KJ_EXPECT(stateOf(f, 2) == ProviderStatus::FAILS);
  KJ_EXPECT(f.follower->getStatus().providers[2].problem == "it fails, as it was told to");
}

KJ_TEST("one that voted alike and then fails is not asked for its events again") {
  Fixture f(0, 3);
  f.mine(3, 1);
  f.start();
  f.mine(1, 1);
  f.settle();
  f.readers[2]->failures = 20;
  auto before = f.readers[2]->calls;
  f.pass(1 * kj::MINUTES);
  auto failures = f.follower->getStatus().providers[2].failures;
  KJ_EXPECT(failures > 3);
  KJ_EXPECT(f.readers[2]->calls - before == failures, "each is one call, which fails");
}

KJ_TEST("after more blocks than events are read of, a change before those is nobody's lie") {
  Fixture f(0, 3);
  f.mine(5, 1);
  f.start();
  f.make(3);
  f.mine(1, 1);
  f.mine(55'000);
  f.start();
  KJ_EXPECT(f.seq() == 6);
  KJ_EXPECT(f.follower->disagreementCount() == 0);
  for (auto i: {0, 1, 2}) KJ_EXPECT(stateOf(f, i) == ProviderStatus::ANSWERS);

  // The newest of those that are read has to be the head all the same.
  f.readers[2]->hidesLogs = true;
  f.mine(100, 1);
  f.settle();
  KJ_EXPECT(stateOf(f, 2) == ProviderStatus::DISAGREES);
}

KJ_TEST("one whose machine has yet to reach the block hides no events of it") {
  Fixture f(0, 3);
  f.mine(3, 1);
  f.start();
  auto paf = kj::newPromiseAndFulfiller<void>();
  f.readers[2]->logsAfter = paf.promise.fork();
  f.mine(1, 1);
  f.settle();
  KJ_EXPECT(f.seq() == 4);
  f.readers[2]->lag = 1;
  paf.fulfiller->fulfill();
  f.settle();
  KJ_EXPECT(f.follower->disagreementCount() == 0);
  KJ_EXPECT(stateOf(f, 2) == ProviderStatus::ANSWERS);
}

KJ_TEST("the time to an adoption counts from when a quorum had reached the block") {
  Fixture f(0, 3);
  f.mine(3, 1);
  f.start();
  auto before = f.follower->getLatencies();
  f.readers[0]->forgedHead = evilHead();
  f.readers[1]->isPruned = true;
  f.mine(1, 1);
  f.pass(50 * kj::SECONDS);
  KJ_EXPECT(f.seq() == 3);
  f.readers[1]->isPruned = false;
  f.pass(50 * kj::SECONDS);
  KJ_EXPECT(f.seq() == 4);
  auto after = f.follower->getLatencies();
  auto seconds = after.sum - before.sum;
  KJ_EXPECT(seconds > 40 && seconds < 100, seconds);
  kj::uint counted = 0;
  for (size_t i = 0; i < after.counts.size(); i++) counted += after.counts[i] - before.counts[i];
  KJ_EXPECT(counted == 1);
  size_t last = after.counts.size() - 1;
  KJ_EXPECT(after.counts[last] + after.counts[last - 1] -
            before.counts[last] - before.counts[last - 1] == 1, "more than 10 s");
}

KJ_TEST("the wait for a contract that is yet to be deployed is no time to an adoption") {
  Fixture f(0);
  f.readers[0]->hasContract = false;
  f.mine(3);
  f.begin();
  f.pass(1 * kj::HOURS);
  f.readers[0]->hasContract = true;
  f.mine(1, 1);
  f.settle();
  KJ_EXPECT(f.seq() == 1);
  KJ_EXPECT(f.follower->getLatencies().sum < 5, f.follower->getLatencies().sum);
}

// How often one that fails is asked in ten minutes, as chance has it.
uint64_t triesIn10Minutes(uint64_t chance) {
  Fixture f(0);
  f.chance = chance;
  f.start();
  f.readers[0]->failures = kj::maxValue;
  f.pass(10 * kj::MINUTES);
  return f.follower->getStatus().providers[0].failures;
}

KJ_TEST("one that fails is asked again ever later, half as much more or less by chance") {
  // 1, 2, 4, ... 32 s and then a minute: 6 tries in the first, and 9 more.
  auto meant = triesIn10Minutes(500), soonest = triesIn10Minutes(0), latest = triesIn10Minutes(999);
  KJ_EXPECT(meant >= 14 && meant <= 16, meant);
  KJ_EXPECT(soonest >= 23 && soonest <= 27, soonest);
  KJ_EXPECT(latest >= 10 && latest <= 12, latest);
  KJ_EXPECT(triesIn10Minutes(kj::maxValue) <= soonest);
}

KJ_TEST("events far above the look before are held against the next one: a node may have slept") {
  Fixture f(0, 3);
  f.mine(5, 1);
  f.start();
  f.mine(2000, 1);
  auto& log = f.chain.logsOf(f.chain.latest())[0];
  f.readers[2]->push(HeadLog{log.head.clone(), log.block, log.index, false});
  f.settle();
  KJ_EXPECT(f.follower->disagreementCount() == 0);
  KJ_EXPECT(stateOf(f, 2) == ProviderStatus::ANSWERS);
}

// A disk that hangs until it is told to go on, and then takes what it was given.
class HangingStore final: public CursorStore {
 public:
  kj::uint saves = 0;
  bool throws = false;
  kj::Maybe<uint64_t> newest;  // head that was saved
  kj::Own<kj::PromiseFulfiller<void>> hung;

  kj::Promise<kj::Maybe<StemCursor>> load(const EthAddress&) override {
    return kj::Maybe<StemCursor>(nullptr);
  }
  kj::Promise<void> save(const EthAddress&, StemCursor cursor) override {
    if (throws) kj::throwFatalException(badInput("the disk is gone"));
    ++saves;
    newest = cursor.epoch.seq;
    auto paf = kj::newPromiseAndFulfiller<void>();
    hung = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }
  kj::Promise<void> forget(const EthAddress&) override { return kj::READY_NOW; }
};

void useStore(Fixture& f, CursorStore& store) {
  auto readers = kj::heapArrayBuilder<kj::Own<ChainReader>>(1);
  readers.add(kj::heap<SimReader>(f.chain, "a", f.timer));
  f.follower = kj::heap<StemFollower>(f.options, readers.finish(), store, f.timer,
                                      []() { return 500; }, f.logger);
}

KJ_TEST("of what a disk that hangs has not taken, the newest alone waits") {
  Fixture f(0);
  HangingStore store;
  useStore(f, store);
  f.begin();
  for (kj::uint i = 1; i <= 10; i++) {
    f.mine(1, 1);
    f.pass(10 * kj::SECONDS);
    KJ_EXPECT(f.seq() == i);
  }
  KJ_EXPECT(store.saves == 1);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.follower->findProblem()).endsWith("it takes longer than 5s"));
  store.hung->fulfill();
  f.pass(1 * kj::SECONDS);
  KJ_EXPECT(store.saves == 2);
  KJ_EXPECT(KJ_ASSERT_NONNULL(store.newest) == 10);
  store.hung->fulfill();
  f.pass(1 * kj::SECONDS);
  KJ_EXPECT(store.saves == 2);
  KJ_EXPECT(f.follower->findProblem() == nullptr);
  f.follower = nullptr;
}

KJ_TEST("a store that throws at once is one that cannot keep it") {
  Fixture f(0);
  HangingStore store;
  store.throws = true;
  useStore(f, store);
  f.start();
  for (kj::uint i = 1; i <= 3; i++) {
    f.mine(1, 1);
    f.settle();
    KJ_EXPECT(f.seq() == i);
  }
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.follower->findProblem()).endsWith("the disk is gone"));
  f.follower = nullptr;
}

}  // namespace
}  // namespace ww
