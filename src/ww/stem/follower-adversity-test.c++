// Fewer providers than a quorum that lie, stand still, are slow or fail as suits them best: the
// honest quorum goes on, and no honest one is named.
#include <ww/stem/follower-fixture-test.h>

namespace ww {
namespace {

using Fixture = FollowerFixture;

kj::String problemOf(const Fixture& f) {
  return f.follower->findProblem().orDefault(kj::String());
}

kj::String statesOf(const Fixture& f) {
  auto status = f.follower->getStatus();
  return kj::strArray(KJ_MAP(p, status.providers) {
    return kj::str(p.name, ":", kj::uint(p.state), "/", p.final, "/", p.failures, "/",
                   p.disagreements, " '", p.problem, "'");
  }, "; ");
}

StemHead evilHead() { return {9, kj::heapArray<const kj::byte>("evil"_kj.asBytes())}; }

// Of a quorum that is half or less.
KJ_TEST("one frozen provider of four, quorum 2, does not stop the other three") {
  Fixture f(0, 4);
  f.options.quorum = 2;
  f.make(4);
  f.mine(5, 1);
  f.start();
  KJ_EXPECT(f.seq() == 5);
  f.readers[3]->frozenAt = 5;
  for (kj::uint i = 0; i < 60; i++) {
    f.mine(1, 1);
    f.pass(12 * kj::SECONDS);
  }
  KJ_EXPECT(f.seq() >= 60, f.seq(), f.chain.latest(), problemOf(f), statesOf(f));
}

// ---- A height that one chooses ----------------------------------------------------------------

void keep128States(Fixture& f) {
  for (auto reader: f.readers) reader->statesKept = 128;  // as geth does
}

KJ_TEST("a liar with a low final block does not stop two that keep 128 states, after an outage") {
  Fixture f(0, 3);
  keep128States(f);
  f.mine(5, 1);
  f.start();
  KJ_EXPECT(f.seq() == 5);
  f.readers[1]->failures = kj::maxValue;          // an honest one is away for a while
  f.readers[2]->forgedHead = evilHead();          // the liar
  f.readers[2]->finalAt = 6;
  f.mine(2, 1);
  for (kj::uint i = 0; i < 150; i++) {
    f.mine(1, 1);
    f.pass(12 * kj::SECONDS);
  }
  f.readers[1]->failures = 0;                     // and is back
  for (kj::uint i = 0; i < 150; i++) {            // half an hour
    f.mine(1, 1);
    f.pass(12 * kj::SECONDS);
  }
  KJ_EXPECT(f.seq() > 100, f.seq(), f.chain.latest(), problemOf(f), statesOf(f));
}

KJ_TEST("one failure of an honest one at the start, a liar far behind: no dead epoch is first") {
  Fixture f(0, 3);
  f.mine(300, 1);
  f.readers[2]->forgedHead = evilHead();  // it answers wrongly at the top, and then is far behind
  f.readers[1]->isPruned = true;          // its first vote fails, as by a rate limit
  f.begin();
  auto first = f.starting.then([&]() { return f.follower->current().seq; })
      .eagerlyEvaluate(nullptr);
  f.pass(600 * kj::MILLISECONDS);
  f.readers[1]->isPruned = false;
  f.readers[2]->forgedHead = nullptr;
  f.readers[2]->finalAt = 20;
  f.readers[2]->push(nullptr);
  f.pass(1 * kj::MINUTES);
  auto seq = first.wait(f.waitScope);
  KJ_EXPECT(seq == 300, seq);
}

KJ_TEST("likewise where the honest ones keep 128 states: it starts at all") {
  Fixture f(0, 3);
  keep128States(f);
  f.mine(300, 1);
  f.readers[2]->forgedHead = evilHead();
  f.readers[1]->isPruned = true;
  f.begin();
  f.pass(600 * kj::MILLISECONDS);
  f.readers[1]->isPruned = false;
  f.readers[2]->forgedHead = evilHead();
  f.readers[2]->finalAt = 20;
  f.readers[2]->push(nullptr);
  for (kj::uint i = 0; i < 100; i++) {
    f.mine(1, 1);
    f.pass(12 * kj::SECONDS);
  }
  KJ_EXPECT(f.starting.poll(f.waitScope), problemOf(f), statesOf(f));
}

// ---- Each call takes its time, below the 10 s that are waited for one ------------------------

void slowStory(kj::Duration delay, kj::uint providers) {
  Fixture f(0, providers);
  f.readers[1]->delay = delay;
  f.mine(5, 1);
  if (providers > 2) f.readers[2]->forgedHead = evilHead();
  f.begin();
  for (kj::uint i = 0; i < 100; i++) {
    f.mine(1, 1);
    f.pass(12 * kj::SECONDS);
  }
  KJ_EXPECT(f.starting.poll(f.waitScope), delay, problemOf(f), statesOf(f));
  if (f.starting.poll(f.waitScope)) {
    KJ_EXPECT(f.seq() + 20 > f.chain.latest(), delay, f.seq(), f.chain.latest(), problemOf(f));
  }
}

KJ_TEST("two honest ones, one of which takes its time for each call") {
  for (auto seconds: {3, 4, 5, 6, 9}) slowStory(seconds * kj::SECONDS, 2);
}
KJ_TEST("two honest ones, one of which takes its time for each call, and a liar") {
  for (auto seconds: {6, 8, 9}) slowStory(seconds * kj::SECONDS, 3);
}

// Three honest ones; one is as slow as another continent, on a chain with a block each 2 s.
KJ_TEST("one that answers each call in 0.7 s is not frozen, where there is a block each 2 s") {
  Fixture f(3, 3);
  f.readers[1]->delay = 700 * kj::MILLISECONDS;
  f.mine(9, 1);
  f.begin();
  for (kj::uint i = 0; i < 300; i++) {
    f.mine(1, i % 7 == 0);
    for (auto i: {0, 2}) f.readers[i]->push(nullptr);  // newHeads, by ws
    f.pass(2 * kj::SECONDS);
  }
  auto status = f.follower->getStatus();
  KJ_EXPECT(status.providers[1].state == ProviderStatus::ANSWERS, statesOf(f));
  KJ_EXPECT(status.providers[1].latest + 5 > f.chain.latest(), status.providers[1].latest,
            f.chain.latest());
}

// ---- What is said -------------------------------------------------------------------------------

KJ_TEST("a provider that fails at every other look does not fill the log") {
  Fixture f(0, 3);
  f.start();
  auto before = f.logger.getLines().size();
  for (kj::uint i = 0; i < 5 * 3600; i++) {
    if (f.follower->getStatus().providers[2].state == ProviderStatus::ANSWERS) {
      f.readers[2]->failures = 1;
      f.readers[2]->push(nullptr);
    }
    if (i % 60 == 0) f.mine(1);
    f.pass(200 * kj::MILLISECONDS);
  }
  auto lines = f.logger.getLines().size() - before;
  KJ_EXPECT(lines < 200, "in one hour", lines);
}

KJ_TEST("a provider of another chain stays one, whatever it pushes") {
  Fixture f(0, 3);
  f.start();
  SimChain other;
  other.mine(3);
  f.readers[2]->failures = 1;
  f.readers[2]->id = 5;
  f.readers[2]->chain = &other;
  f.readers[2]->push(nullptr);
  f.settle();
  f.settle();
  KJ_EXPECT(f.follower->getStatus().providers[2].state == ProviderStatus::LACKS, statesOf(f));
  auto before = f.logger.getLines().size();
  for (kj::uint i = 0; i < 60; i++) {
    f.readers[2]->push(HeadLog{{~uint64_t(0), nullptr}, {1, {}}, i, false});
    f.pass(1 * kj::SECONDS);
    auto status = f.follower->getStatus();
    if (i == 0) {
      KJ_EXPECT(status.pendingSeq == nullptr);
    }
    f.mine(1, 1);
    f.pass(11 * kj::SECONDS);
    if (i > 0) continue;
    KJ_EXPECT(f.follower->getStatus().providers[2].state == ProviderStatus::LACKS, statesOf(f));
  }
  KJ_EXPECT(f.logger.getLines().size() - before < 200, f.logger.getLines().size() - before);
}

KJ_TEST("a provider that turns to another chain without failing is named so") {
  Fixture f(0, 3);
  f.start();
  SimChain other;
  other.mine(3);
  for (kj::uint i = 0; i < 100; i++) other.mine(1);
  f.readers[2]->id = 5;
  f.readers[2]->chain = &other;
  for (kj::uint i = 0; i < 30; i++) {
    f.mine(1, 1);
    f.pass(12 * kj::SECONDS);
  }
  KJ_EXPECT(f.follower->getStatus().providers[2].state == ProviderStatus::LACKS, statesOf(f));
  KJ_EXPECT(f.logged("it is of chain 5, and not of 31337"));
  KJ_EXPECT(f.follower->disagreementCount() == 0, statesOf(f));
}

KJ_TEST("a gateway that hands out another chain for a while ends nobody's authority") {
  Fixture f(0, 1);
  f.mine(5, 1);
  f.start();
  SimChain other;
  other.mine(3);
  for (kj::uint i = 0; i < 50; i++) other.mine(1);
  f.readers[0]->id = 5;
  f.readers[0]->chain = &other;
  f.settle();
  f.settle();
  KJ_EXPECT(f.failure() == "", f.failure());
  KJ_EXPECT(f.follower->getStatus().providers[0].state == ProviderStatus::LACKS, statesOf(f));
}

// 7. Frozen, with a failure now and then.
KJ_TEST("a provider that stands still and fails once in four minutes is frozen too") {
  Fixture f(0, 3);
  f.mine(5, 1);
  f.start();
  f.readers[2]->frozenAt = 5;
  bool isFrozen = false;
  for (kj::uint i = 0; i < 300; i++) {
    f.mine(1, 1);
    if (i % 20 == 0) f.readers[2]->failures = 1;
    f.pass(12 * kj::SECONDS);
    isFrozen = isFrozen || f.follower->getStatus().providers[2].state == ProviderStatus::FROZEN;
  }
  KJ_EXPECT(isFrozen, statesOf(f));
}

}  // namespace
}  // namespace ww
