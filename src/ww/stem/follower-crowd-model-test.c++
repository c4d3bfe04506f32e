// Seeded chains of three to five providers: as many liars as a quorum must not be of, which do
// anything to choose the height, to be waited for and to be believed, and honest ones that lag by
// turns, take their time and fail now and then. What enough honest ones have called final for long
// enough is adopted, and nothing else; the first time it is no older than what a quorum of them
// calls final then; nothing is revoked, and no honest one is named.
#include <algorithm>
#include <random>
#include <stdlib.h>
#include <ww/stem/follower-fixture-test.h>

namespace ww {
namespace {

#if __has_feature(address_sanitizer)
constexpr uint64_t CHAINS = 150;  // each takes ten times as long
#else
constexpr uint64_t CHAINS = 2000;
#endif
constexpr uint64_t DEPTH = 4;

struct Shape {
  kj::uint providers, quorum;
};
constexpr Shape SHAPES[] = {{3, 2}, {5, 3}, {4, 2}, {3, 2}};

class Story {
 public:
  explicit Story(uint64_t seed)
      : shape(SHAPES[seed % std::size(SHAPES)]), f(DEPTH, shape.providers), random(seed) {
    f.options.interval = 1 * kj::SECONDS;
    f.options.quorum = shape.quorum;
    f.make(shape.providers);
    for (kj::uint i = 0; i < shape.providers; i++) f.readers[i]->pushes = (seed / 4 + i) % 2 == 0;
    f.mine(DEPTH + 4 + below(200), below(3));
    other.mine(1);
    for (auto blocks = DEPTH + below(300); blocks > 0; blocks--) other.mine(below(2));
    std::shuffle(f.readers.begin(), f.readers.end(), random);
    if (below(4) == 0) slow = f.readers[shape.providers - 1 - below(2)];
    keepsFew = slow == nullptr && below(4) == 0;  // with both, they are of no use
    begin();
  }

  uint64_t tell() {
    for (kj::uint i = 0; i < 4; i++) {
      for (auto reader: honest()) {
        reader->lag = below(8);
        reader->slowness = below(30);
        if (below(6) == 0) reader->failures = 1;
      }
      for (uint64_t blocks = 10 + below(20); blocks > 0; blocks--) {
        f.chain.mine(below(3) == 0);
        passSecond();
      }
      expectNothingLost();
    }
    return f.seq();
  }

 private:
  const Shape shape;
  SimChain other;
  FollowerFixture f;
  std::mt19937_64 random;
  kj::Maybe<SimReader*> slow;
  bool keepsFew;

  uint64_t below(uint64_t n) { return random() % n; }
  kj::String problem() const { return f.follower->findProblem().orDefault(kj::String()); }
  kj::ArrayPtr<SimReader*> liars() { return f.readers.asPtr().slice(0, shape.quorum - 1); }
  kj::ArrayPtr<SimReader*> honest() {
    return f.readers.asPtr().slice(shape.quorum - 1, f.readers.size());
  }

  // The first epoch is not older than the head of the block that a quorum of the honest ones calls
  // final, whatever the liars say of theirs.
  void begin() {
    kj::Vector<uint64_t> finals;
    for (auto reader: honest()) {
      reader->slowness = below(100);
      reader->failures = below(3) == 0;
      reader->lag = below(4);
      if (keepsFew) reader->statesKept = DEPTH + 16;
      auto reached = f.chain.latest() - kj::min(f.chain.latest(), DEPTH + reader->lag);
      finals.add(reached);
    }
    KJ_IF_MAYBE(reader, slow) {
      (*reader)->delay = (2 + below(8)) * kj::SECONDS;
      (*reader)->failures = 0;
    }
    std::sort(finals.begin(), finals.end());
    auto due = f.chain.headAt(finals[finals.size() - shape.quorum]).seq;
    for (auto reader: liars()) lie(*reader);
    f.begin();
    auto first = f.starting.then([this]() { return f.follower->current().seq; })
        .eagerlyEvaluate(nullptr);
    for (kj::uint i = 0; i < 300 && !first.poll(f.waitScope); i++) {
      for (auto reader: liars()) if (below(2) == 0) lie(*reader);
      f.pass(1 * kj::SECONDS);
    }
    KJ_ASSERT(first.poll(f.waitScope), problem());
    auto seq = first.wait(f.waitScope);
    KJ_ASSERT(seq >= due, seq, due);
    expectNothingForged();
  }

  // Anything, but for what only so many as the quorum could have believed.
  void lie(SimReader& liar) {
    auto top = f.chain.latest();
    liar.lag = below(3) == 0 ? below(top) : 0;
    liar.frozenAt = nullptr;
    if (below(4) == 0) liar.frozenAt = top - below(kj::min(top, uint64_t(12)));
    liar.finalAt = nullptr;
    if (below(2) == 0) liar.finalAt = below(3) == 0 ? top + below(100) : below(top);
    liar.failures = below(4) == 0 ? below(3) : 0;
    liar.isSilent = below(8) == 0;
    liar.hasContract = below(8) != 0;
    liar.id = below(8) == 0 ? 5 : SimChain::ID;
    liar.chain = below(8) == 0 ? &other : &f.chain;
    if (liar.chain == &other) liar.finalAt = liar.frozenAt = nullptr;
    liar.lacks = nullptr;
    if (below(10) == 0) liar.lacks = kj::str("none");
    liar.forgesFinalHash = below(3) == 0;
    liar.forgesHash = below(4) == 0;
    liar.isPruned = below(4) == 0;
    liar.hidesLogs = below(4) == 0;
    liar.slowness = below(3) * 40;
    liar.delay = (below(4) == 0 ? below(10) : 0) * kj::SECONDS;
    liar.forgedHead = nullptr;
    if (below(3) == 0) {
      liar.forgedHead = StemHead{1000 + below(9), kj::heapArray<const kj::byte>(kj::str(
          "evil ", below(9)).asBytes())};
    }
    if (below(2) == 0) liar.push(nullptr);
    if (below(3) == 0) {
      liar.push(HeadLog{{500 + below(9), nullptr}, {top + below(9), {}}, 0, false});
    }
    if (below(10) == 0) liar.dropPushes();
  }

  void passSecond() {
    for (auto reader: liars()) if (below(4) == 0) lie(*reader);
    f.pass(1 * kj::SECONDS);
    expectNothingForged();
  }

  void expectNothingForged() {
    auto epoch = f.follower->current();
    auto& head = f.chain.headAt(epoch.adoptedBlock);
    KJ_ASSERT(epoch.seq == head.seq && epoch.head.asPtr() == head.value.asPtr(), epoch.seq);
    KJ_ASSERT(epoch.adoptedBlock + DEPTH <= f.chain.latest());
    auto why = f.failure();
    KJ_ASSERT(why == "", why);
    auto status = f.follower->getStatus();
    for (auto reader: honest()) {
      for (auto& provider: status.providers) {
        if (provider.name != reader->getName()) continue;
        KJ_ASSERT(provider.disagreements == 0, provider.name, provider.problem);
        KJ_ASSERT(provider.state != ProviderStatus::LACKS, provider.name, provider.problem);
      }
    }
  }

  // Blocks go on while the honest ones catch up; a round waits for a slow one, and there may be
  // some in vain before.
  void expectNothingLost() {
    auto due = f.chain.headAt(f.chain.latest() - DEPTH - 8).seq;
    auto seconds = slow == nullptr ? 60 : 180;
    for (kj::uint i = 0; i < kj::uint(seconds); i++) {
      if (i % 3 == 0) f.chain.mine();
      passSecond();
    }
    auto seq = f.seq();
    KJ_ASSERT(seq >= due, seq, due, problem());
  }
};

KJ_TEST("seeded chains of several providers, of which fewer than a quorum lie") {
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
