// Seeded chains of three providers, two honest ones that lag by turns and one that lies in all that
// it says, or is of another chain: what both honest ones have called final for long enough is
// adopted, and nothing else; the first time it is no older than what both call final then.
#include <random>
#include <stdlib.h>
#include <ww/stem/follower-fixture-test.h>

namespace ww {
namespace {

#if __has_feature(address_sanitizer)
constexpr uint64_t CHAINS = 30;  // each takes ten times as long
#else
constexpr uint64_t CHAINS = 300;
#endif
constexpr uint64_t DEPTH = 4;

class Story {
 public:
  explicit Story(uint64_t seed): random(seed) {
    f.options.interval = 1 * kj::SECONDS;
    f.make(3);
    f.mine(DEPTH + 4 + below(60), below(3));
    begin();
  }

  uint64_t tell() {
    for (kj::uint i = 0; i < 12; i++) {
      lie();
      for (auto who: {1, 2}) {
        f.readers[who]->lag = below(8);
        f.readers[who]->slowness = below(30);
        if (below(6) == 0) f.readers[who]->failures = 1;
      }
      for (uint64_t blocks = 10 + below(20); blocks > 0; blocks--) {
        f.chain.mine(below(3) == 0);
        f.pass(1 * kj::SECONDS);
        expectNothingForged();
      }
      expectNothingLost();
    }
    return f.seq();
  }

 private:
  SimChain other;
  FollowerFixture f{DEPTH, 3};
  std::mt19937_64 random;

  uint64_t below(uint64_t n) { return random() % n; }

  // The first epoch is not older than the head of the block that both honest ones call final, be
  // the liar far behind, of another chain, or the fastest.
  void begin() {
    auto who = below(3);
    std::swap(f.readers[0], f.readers[who]);
    auto& liar = *f.readers[0];
    if (below(2) == 0) liar.lag = below(f.chain.latest());
    if (below(3) == 0) {
      liar.id = 5;
      other.mine(1);
      for (auto blocks = DEPTH + below(60); blocks > 0; blocks--) other.mine();
      liar.chain = &other;
    }
    kj::uint lag = 0;
    for (auto i: {0, 1, 2}) {
      f.readers[i]->slowness = below(100);
      if (i == 0) continue;
      f.readers[i]->failures = below(3) == 0;
      f.readers[i]->lag = below(4);
      lag = kj::max(lag, f.readers[i]->lag);
    }
    auto least = f.chain.latest() - kj::min(f.chain.latest(), DEPTH + lag);
    f.begin();
    auto first = f.starting.then([this]() { return f.follower->current().seq; })
        .eagerlyEvaluate(nullptr);
    f.pass(1 * kj::MINUTES);
    KJ_ASSERT(first.poll(f.waitScope));
    auto seq = first.wait(f.waitScope), due = f.chain.headAt(least).seq;
    KJ_ASSERT(seq >= due, seq, due);
    liar.lag = 0;
    liar.id = SimChain::ID;
    liar.chain = &f.chain;
  }

  void lie() {
    auto& liar = *f.readers[0];
    liar.forgedHead = nullptr;
    liar.frozenAt = nullptr;
    liar.forgesFinalHash = below(3) == 0;
    liar.isSilent = below(6) == 0;
    liar.slowness = below(2) * 50;
    if (below(2) == 0) {
      liar.forgedHead = StemHead{1000 + below(9), kj::heapArray<const kj::byte>(kj::str(
          "evil ", below(9)).asBytes())};
    }
    if (below(3) == 0) liar.frozenAt = f.chain.latest() - below(4);
    if (below(2) == 0) {
      liar.push(HeadLog{{500 + below(9), nullptr}, {f.chain.latest() + below(9), {}}, 0, false});
    }
  }

  void expectNothingForged() {
    auto epoch = f.follower->current();
    auto& head = f.chain.headAt(epoch.adoptedBlock);
    KJ_ASSERT(epoch.seq == head.seq && epoch.head.asPtr() == head.value.asPtr(), epoch.seq);
    KJ_ASSERT(epoch.adoptedBlock + DEPTH <= f.chain.latest());
    auto why = f.failure();
    KJ_ASSERT(why == "", why);
  }

  // Blocks go on while the honest ones catch up; a round waits 15 s for a slow one, and there may
  // be one in vain before.
  void expectNothingLost() {
    auto due = f.chain.headAt(f.chain.latest() - DEPTH - 8).seq;
    for (kj::uint i = 0; i < 60; i++) {
      f.chain.mine();
      f.pass(1 * kj::SECONDS);
    }
    auto seq = f.seq();
    KJ_ASSERT(seq >= due, seq, due);
  }
};

KJ_TEST("seeded chains of three providers, one of which lies") {
  auto given = getenv("WW_SEED");
  uint64_t first = given == nullptr ? 1 : kj::StringPtr(given).parseAs<uint64_t>();
  uint64_t epochs = 0;
  for (auto seed = first; seed < first + (given == nullptr ? CHAINS : 1); seed++) {
    KJ_CONTEXT("replay with WW_SEED", seed);
    epochs += Story(seed).tell();
  }
  KJ_LOG(WARNING, "adopted", epochs);
  KJ_EXPECT(epochs > 0);
}

}  // namespace
}  // namespace ww
