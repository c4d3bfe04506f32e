// Honest providers that slip for a moment, beside one that lies or is far behind: nobody begins
// with a dead epoch, ends what is right, or waits for long.
#include <random>
#include <ww/stem/follower-fixture-test.h>

namespace ww {
namespace {

using Fixture = FollowerFixture;

constexpr kj::uint A_MOMENT = 5;  // failures

kj::String problemOf(const Fixture& f) {
  return f.follower->findProblem().orDefault(kj::String());
}

StemHead evilHead() { return {9, kj::heapArray<const kj::byte>("evil"_kj.asBytes())}; }

// The first epoch that is handed out. `step` is called each fifth of a second until then.
uint64_t firstSeq(Fixture& f, kj::FunctionParam<void(kj::uint)> step) {
  constexpr kj::uint MOST_STEPS = 1500;
  f.begin();
  auto first = f.starting.then([&]() { return f.seq(); }).eagerlyEvaluate(nullptr);
  for (kj::uint i = 0; i < MOST_STEPS && !first.poll(f.waitScope); i++) {
    step(i);
    f.pass(200 * kj::MILLISECONDS);
  }
  auto why = problemOf(f);
  KJ_ASSERT(first.poll(f.waitScope), "it never began", why);
  return first.wait(f.waitScope);
}

// It shows itself far behind, and fails then, so that nobody waits for it.
void beShy(Fixture& f, kj::uint index) {
  auto& reader = *f.readers[index];
  auto status = f.follower->getStatus();
  if (reader.failures > 0 || status.providers[index].final == 0) return;
  reader.failures = A_MOMENT;
  reader.push(nullptr);
}

KJ_TEST("two failed looks of an honest one at the start let nobody far behind choose the first") {
  Fixture f(0, 3);
  f.mine(300, 1);
  f.readers[1]->failures = 2;
  f.readers[2]->finalAt = 20;
  auto seq = firstSeq(f, [&](kj::uint) { f.readers[2]->push(nullptr); });
  KJ_EXPECT(seq == 300, seq);
}

KJ_TEST("nor two of five that do not lie") {
  Fixture f(0, 5);
  f.mine(300, 1);
  f.readers[1]->failures = 2;
  f.readers[3]->lag = 280;
  f.readers[4]->lag = 270;
  auto seq = firstSeq(f, [&](kj::uint i) {
    if (i % 10 == 0) f.readers[3]->push(nullptr);
  });
  KJ_EXPECT(seq == 300, seq);
}

KJ_TEST("nor do votes of an honest one that fail for up to twenty seconds") {
  for (kj::uint until: {1, 10, 25, 40, 100}) {
    for (kj::uint delay: {0, 1}) {
      std::mt19937_64 random(until);
      for (kj::uint times = 0; times < 5; times++) {
        Fixture f(0, 3);
        f.mine(300, 1);
        f.readers[1]->delay = delay * 500 * kj::MILLISECONDS;
        f.readers[1]->isPruned = true;
        f.readers[2]->finalAt = 20;
        auto seq = firstSeq(f, [&](kj::uint i) {
          f.chance = random();
          if (i == until) f.readers[1]->isPruned = false;
          beShy(f, 2);
        });
        KJ_EXPECT(seq == 300, seq, until, delay);
      }
    }
  }
}

// One honest one cannot vote for a while and is well again: how long until a quorum adopts.
uint64_t secondsUntilAdopted(uint64_t seed, bool isShy, kj::uint statesKept) {
  constexpr uint64_t BLOCK_SECONDS = 12, OUTAGE = 200 * BLOCK_SECONDS, MOST = 6 * 3600;
  std::mt19937_64 random(seed);
  Fixture f(0, 3);
  for (auto reader: f.readers) reader->statesKept = statesKept;
  f.mine(5, 1);
  f.start();
  f.readers[1]->isPruned = true;
  f.mine(2, 1);
  f.readers[2]->finalAt = 6;
  f.readers[2]->forgedHead = evilHead();
  auto second = [&](uint64_t i) {
    f.chance = random();
    if (i % BLOCK_SECONDS == 0) f.mine(1, 1);
    if (isShy) beShy(f, 2);
    f.pass(1 * kj::SECONDS);
  };
  for (uint64_t i = 0; i < OUTAGE; i++) second(i);
  f.readers[1]->isPruned = false;
  auto top = f.chain.headAt(f.chain.latest()).seq;
  uint64_t seconds = 0;
  for (; seconds < MOST && f.seq() < top; seconds++) second(seconds);
  return seconds;
}

KJ_TEST("one that is well again is heard within minutes, whoever is low") {
  uint64_t worst = 0;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    for (bool isShy: {false, true}) {
      for (kj::uint statesKept: {128, 1'000'000}) {
        worst = kj::max(worst, secondsUntilAdopted(seed, isShy, statesKept));
      }
    }
  }
  KJ_LOG(WARNING, "the longest until a quorum adopted, in simulated seconds", worst);
  KJ_EXPECT(worst < 600, worst);
}

// ---- Gateways ---------------------------------------------------------------------------------

// Another chain's machine answers until it is asked which chain it is of.
class Gateway final: public ChainReader {
 public:
  Gateway(Fixture& f, SimChain& other, kj::StringPtr name)
      : own(f.chain, name, f.timer), others(other, name, f.timer) {}

  bool isAstray = false;

  kj::StringPtr getName() const override { return own.getName(); }
  kj::Promise<uint64_t> chainId() override {
    isAstray = false;
    return own.chainId();
  }
  kj::Promise<kj::OneOf<ChainView, NotOffered>> view(const Finality& finality) override {
    return now().view(finality);
  }
  kj::Promise<kj::Maybe<BlockHash>> blockAt(uint64_t number) override {
    return now().blockAt(number);
  }
  kj::Promise<kj::Maybe<StemHead>> headAt(const BlockHash& hash) override {
    return now().headAt(hash);
  }
  kj::Promise<kj::Array<HeadLog>> logs(uint64_t from, uint64_t to) override {
    return now().logs(from, to);
  }
  bool canPush() const override { return own.canPush(); }
  kj::Promise<kj::Maybe<HeadLog>> nextHint() override { return own.nextHint(); }

 private:
  SimReader own, others;
  SimReader& now() { return isAstray ? others : own; }
};

void followWith(Fixture& f, kj::Array<kj::Own<ChainReader>> readers) {
  f.follower = kj::heap<StemFollower>(f.options, kj::mv(readers), f.store, f.timer,
                                      []() { return uint64_t(500); }, f.logger);
  f.mine(5, 1);
  f.start();
}

KJ_TEST("a gateway that strays for one vote ends nothing, alone or beside one that lies with it") {
  for (bool isAlone: {true, false}) {
    Fixture f(0, isAlone ? 1 : 3);
    SimChain other;
    other.mine();  // from here on its blocks are others
    for (kj::uint i = 0; i < 53; i++) other.mine(1);
    auto gateway = kj::heap<Gateway>(f, other, "b");
    auto liar = kj::heap<SimReader>(f.chain, "c", f.timer);
    auto stray = [&isAstray = gateway->isAstray, &chain = liar->chain, &other]() {
      isAstray = true;
      chain = &other;
    };
    kj::Vector<kj::Own<ChainReader>> readers;
    readers.add(kj::mv(gateway));
    if (!isAlone) {
      readers.add(kj::heap<SimReader>(f.chain, "a", f.timer));
      readers.add(kj::mv(liar));
    }
    followWith(f, readers.releaseAsArray());
    stray();
    f.pass(1 * kj::MINUTES);
    KJ_EXPECT(f.failure() == "", f.failure(), isAlone);
    f.mine(1, 1);
    f.pass(5 * kj::MINUTES);  // what it seemed to have reached is held to it for a while
    KJ_EXPECT(f.seq() == 6, f.seq(), isAlone);
  }
}

KJ_TEST("a look at a longer chain is forgotten") {
  for (kj::uint providers: {1, 3}) {
    Fixture f(0, providers);
    f.mine(5, 1);
    f.start();
    SimChain other;
    for (kj::uint i = 0; i < 5000; i++) other.mine(1);
    auto& astray = *f.readers[providers / 2];
    if (providers == 3) f.readers[2]->finalAt = 5000;
    astray.id = 5;
    astray.chain = &other;
    f.settle();
    astray.id = SimChain::ID;
    astray.chain = &f.chain;
    for (kj::uint i = 0; i < 100; i++) {
      f.mine(1, 1);
      f.pass(12 * kj::SECONDS);
    }
    KJ_EXPECT(f.seq() > 100, f.seq(), providers);
    KJ_EXPECT(problemOf(f) == "", problemOf(f), providers);
    auto before = f.follower->getStatus().providers[0].disagreements;
    f.pass(6 * kj::MINUTES);
    auto after = f.follower->getStatus().providers[0].disagreements;
    KJ_EXPECT(after == before, after, before, providers);
  }
}

KJ_TEST("one that turns to a shorter chain is found to be of another") {
  Fixture f(0, 3);
  f.mine(300, 1);
  f.start();
  SimChain other;
  other.mine(3);
  f.readers[2]->id = 5;
  f.readers[2]->chain = &other;
  for (kj::uint i = 0; i < 20; i++) {
    f.mine(1, 1);
    other.mine(1);
    f.pass(12 * kj::SECONDS);
  }
  auto status = f.follower->getStatus();
  KJ_EXPECT(status.providers[2].state == ProviderStatus::LACKS);
  KJ_EXPECT(status.providers[2].problem == "it is of chain 5, and not of 31337");
}

}  // namespace
}  // namespace ww
