#pragma once
// A follower over simulated providers and a clock that the test moves.

#include <kj/test.h>
#include <ww/stem/follower.h>
#include <ww/stem/sim-chain-test.h>

namespace ww {

struct FollowerFixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  SimChain chain;
  MemoryCursorStore store;
  MemoryLogger logger;
  FollowerOptions options;
  uint64_t chance = 500;            // that the follower draws: it waits as long as it means to
  bool push = true;                 // do the providers of the next make()
  kj::Vector<SimReader*> readers;   // of the follower
  kj::Own<StemFollower> follower;

  explicit FollowerFixture(uint64_t depth = 3, kj::uint providers = 1) {
    options.finality = {Finality::DEPTH, depth};
    options.quorum = majorityOf(providers);
    make(providers);
  }
  ~FollowerFixture() noexcept(false) { follower = nullptr; }

  // A new one, as after a restart.
  void make(kj::uint providers) {
    follower = nullptr;
    readers.clear();
    static constexpr kj::StringPtr NAMES[] = {"a"_kj, "b"_kj, "c"_kj, "d"_kj, "e"_kj};
    auto owned = kj::heapArrayBuilder<kj::Own<ChainReader>>(providers);
    for (kj::uint i = 0; i < providers; i++) {
      auto reader = kj::heap<SimReader>(chain, NAMES[i], timer);
      reader->pushes = push;
      readers.add(reader.get());
      owned.add(kj::mv(reader));
    }
    follower = kj::heap<StemFollower>(options, owned.finish(), store, timer,
                                      [this]() { return chance; }, logger);
  }

  void pass(kj::Duration duration) {
    constexpr auto STEP = 200 * kj::MILLISECONDS;
    for (auto end = timer.now() + duration; timer.now() < end;) {
      timer.advanceTo(kj::min(end, timer.now() + STEP));
      waitScope.poll();
    }
  }
  void settle() { pass(options.interval + 1 * kj::SECONDS); }

  // Starts it, and gives it time.
  void start() {
    begin();
    settle();
    KJ_ASSERT(starting.poll(waitScope));
    starting.wait(waitScope);
  }
  void begin() { starting = follower->start(); starting.poll(waitScope); }
  kj::Promise<void> starting = nullptr;

  void mine(kj::uint blocks, kj::uint changes = 0) {
    for (kj::uint i = 0; i < blocks; i++) chain.mine(changes);
  }

  uint64_t seq() { return follower->current().seq; }

  // Why it follows no longer; empty while it does.
  kj::String failure() {
    kj::String why;
    auto next = follower->nextAfter(kj::maxValue);
    if (next.poll(waitScope)) {
      KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { next.wait(waitScope); })) {
        why = kj::str(e->getDescription());
      }
    }
    return why;
  }

  bool logged(kj::StringPtr text) const {
    for (auto& line: logger.getLines()) {
      if (strstr(line.cStr(), text.cStr()) != nullptr) return true;
    }
    return false;
  }
};

}  // namespace ww
