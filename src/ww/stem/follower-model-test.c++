// 2,000 seeded chains that grow, are reorganised and are told of badly, against a model: what is
// adopted is the head at the newest final block that was seen, and nothing of what was taken back.
#include <random>
#include <stdlib.h>
#include <ww/stem/follower-fixture-test.h>

namespace ww {
namespace {

constexpr uint64_t CHAINS = 2000;
constexpr uint64_t DEPTH = 4;  // K

// What ought to be, in the simplest words.
struct Model {
  BlockRef final;
  StemHead head;
  bool isClosed = false;

  void see(const SimChain& chain) {
    if (isClosed || chain.latest() < DEPTH) return;
    auto now = chain.refAt(chain.latest() - DEPTH);
    if (now.number < final.number) return;  // behind
    if (!(chain.refAt(final.number).hash == final.hash)) {
      isClosed = true;
      return;
    }
    final = now;
    head = chain.headAt(now.number).clone();
  }
};

class Story {
 public:
  explicit Story(uint64_t seed): random(seed) {
    f.options.interval = 1 * kj::SECONDS;
    f.push = seed % 2 == 0;
    f.make(1);
    f.mine(DEPTH + 1);
    f.start();
    model.final = f.chain.refAt(f.chain.latest() - DEPTH);
    model.head = f.chain.headAt(model.final.number).clone();
  }

  void tell(kj::uint steps) {
    for (kj::uint i = 0; i < steps && !model.isClosed; i++) {
      step();
      f.pass(2 * kj::SECONDS);
      model.see(f.chain);
      expectSame();
    }
  }

  bool endedTooDeep() const { return model.isClosed; }
  kj::uint restarts = 0, reorgs = 0;

 private:
  FollowerFixture f{DEPTH};
  Model model;
  std::mt19937_64 random;

  uint64_t below(uint64_t n) { return random() % n; }

  void step() {
    switch (below(10)) {
      case 0: case 1: case 2: case 3: return grow(1 + below(3));
      case 4: case 5: return grow(1 + below(2 * DEPTH));
      case 6: case 7: case 8: return reorganise(1 + below(below(12) == 0 ? DEPTH + 5 : DEPTH));
      case 9: return restart();
    }
  }

  void grow(uint64_t blocks) {
    for (uint64_t i = 0; i < blocks; i++) {
      f.chain.mine(below(3) == 0 ? 1 + below(2) : 0);
      tellOf(f.chain.logsOf(f.chain.latest()));
    }
  }

  // Of depth 1 to K + 5. The other branch is longer, as one that replaces another is.
  void reorganise(uint64_t depth) {
    ++reorgs;
    auto removed = f.chain.takeBack(depth);
    tellOf(removed.asPtr());
    if (below(2) == 0) tellOf(removed.asPtr());
    grow(depth + 1);
  }

  // Events as they are pushed: out of order, some twice, some never.
  void tellOf(kj::ArrayPtr<const HeadLog> logs) {
    kj::Vector<HeadLog> pushed;
    for (auto& log: logs) {
      auto times = log.removed ? 1 + below(2) : below(3);
      for (uint64_t i = 0; i < times; i++) {
        pushed.add(HeadLog{log.head.clone(), log.block, log.index, log.removed});
      }
    }
    while (pushed.size() > 0) {
      auto i = below(pushed.size());
      f.readers[0]->push(kj::mv(pushed[i]));
      if (i + 1 < pushed.size()) pushed[i] = kj::mv(pushed.back());
      pushed.removeLast();
    }
    if (below(8) == 0) f.readers[0]->dropPushes();
    if (below(8) == 0) f.readers[0]->failures = 1 + below(2);
  }

  void restart() {
    ++restarts;
    f.make(1);
    f.begin();
    f.pass(2 * kj::SECONDS);
    f.starting.wait(f.waitScope);
  }

  void expectSame() {
    f.pass(4 * kj::SECONDS);  // after failures
    auto why = f.failure();
    KJ_ASSERT(why.startsWith("reorg-too-deep: ") == model.isClosed, why);
    auto epoch = f.follower->current();
    KJ_ASSERT(epoch.seq == model.head.seq, epoch.seq, model.head.seq);
    KJ_ASSERT(epoch.head.asPtr() == model.head.value.asPtr());
    auto final = f.follower->getStatus().final;
    KJ_ASSERT(model.isClosed || final == model.final.number, final, model.final.number);
  }
};

// One more, of one seed, where WW_SEED is set.
kj::Vector<uint64_t> seeds() {
  kj::Vector<uint64_t> all;
  auto given = getenv("WW_SEED");
  if (given != nullptr) {
    all.add(kj::StringPtr(given).parseAs<uint64_t>());
  } else {
    for (uint64_t seed = 1; seed <= CHAINS; seed++) all.add(seed);
  }
  return all;
}

KJ_TEST("2,000 seeded chains: what is adopted is what the model says") {
  kj::uint tooDeep = 0, reorgs = 0, restarts = 0;
  for (auto seed: seeds()) {
    KJ_CONTEXT("replay with WW_SEED", seed);
    Story story(seed);
    story.tell(12);
    tooDeep += story.endedTooDeep();
    reorgs += story.reorgs;
    restarts += story.restarts;
  }
  KJ_LOG(WARNING, "told", reorgs, tooDeep, restarts);
  KJ_EXPECT(tooDeep > 0 && reorgs > tooDeep && restarts > 0);
}

}  // namespace
}  // namespace ww
