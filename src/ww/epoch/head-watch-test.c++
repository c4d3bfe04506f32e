#include <ww/epoch/head-watch.h>

#include <kj/test.h>
#include <kj/thread.h>
#include <kj/vector.h>

namespace ww {
namespace {

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  ManualHeadSource source;
  HeadWatch watch{source};
  kj::String failure;
  kj::Promise<void> following = watch.follow().eagerlyEvaluate([this](kj::Exception&& exception) {
    failure = kj::str(exception.getDescription());
  });

  void settle() { waitScope.poll(); }
};

// Gives what the test puts in, whether it is newer or not.
class WaywardSource final: public HeadSource {
 public:
  explicit WaywardSource(uint64_t first): first(first) {}
  Epoch current() override { return {first, nullptr, 0}; }
  kj::Promise<Epoch> nextAfter(uint64_t) override { return Epoch{next, nullptr, 0}; }

  const uint64_t first;
  uint64_t next = 0;
};

KJ_TEST("follows the source, and issues leases under the current epoch") {
  Fixture f;
  auto first = f.watch.issue();
  KJ_EXPECT(first->issuedSeq() == 0 && first->stands());
  f.source.advance(kj::StringPtr("abc").asBytes(), 9);
  KJ_EXPECT(f.watch.seq() == 0);
  f.settle();
  KJ_EXPECT(f.watch.seq() == 1);
  KJ_EXPECT(f.watch.epoch().adoptedBlock == 9);
  auto second = f.watch.issue();
  KJ_EXPECT(!first->stands());
  KJ_EXPECT(second->stands());
  KJ_EXPECT(second->issued().head.asPtr() == kj::StringPtr("abc").asBytes());
  KJ_EXPECT(second->issued().adoptedBlock == 9);
}

KJ_TEST("epochs that come together are one advance, to the newest") {
  Fixture f;
  auto lease = f.watch.issue();
  for (int i = 0; i < 5; i++) f.source.advance();
  f.settle();
  KJ_EXPECT(f.watch.seq() == 5);
  KJ_EXPECT(lease->reason().getDescription() == "staleEpoch: issued 0, current 5");
}

KJ_TEST("the two halves: no lease stands once the number is stored, its end comes by an event") {
  Fixture f;
  auto lease = f.watch.issue();
  bool told = false;
  auto onEnded = lease->onEnded().then([&]() { told = true; }).eagerlyEvaluate(nullptr);
  f.watch.store({1, nullptr, 0});
  f.settle();
  KJ_EXPECT(!lease->stands() && !told);
  KJ_EXPECT(f.watch.leaseCount() == 1);
  auto announced = f.watch.announce();
  KJ_EXPECT(!told && f.watch.leaseCount() == 1);
  announced.wait(f.waitScope);
  f.settle();
  KJ_EXPECT(told && f.watch.leaseCount() == 0);
}

// Takes a step in each round of the loop's queue.
struct Walker {
  kj::uint steps = 0;
  kj::Promise<void> walk() {
    return kj::evalLater([this]() {
      ++steps;
      return walk();
    });
  }
};

KJ_TEST("a body goes no further once the number is stored, whatever the loop has queued before") {
  Fixture f;
  auto lease = f.watch.issue();
  Walker walker;
  auto body = lease->hold(walker.walk()).eagerlyEvaluate([](kj::Exception&&) {});
  f.waitScope.poll(100);
  auto before = walker.steps;
  KJ_EXPECT(before > 0);
  f.source.advance();
  while (f.watch.seq() == 0) {
    before = walker.steps;
    f.waitScope.poll(1);
  }
  f.settle();
  KJ_EXPECT(walker.steps == before, walker.steps, before);
}

KJ_TEST("onAdvance() tells any number of callers, at once when it is past") {
  Fixture f;
  auto first = f.watch.onAdvance(0), second = f.watch.onAdvance(0), third = f.watch.onAdvance(1);
  KJ_EXPECT(!first.poll(f.waitScope));
  f.source.advance();
  first.wait(f.waitScope);
  second.wait(f.waitScope);
  KJ_EXPECT(!third.poll(f.waitScope));
  f.watch.onAdvance(0).wait(f.waitScope);
  f.source.advance();
  third.wait(f.waitScope);
}

KJ_TEST("the sequence number is readable from any thread") {
  Fixture f;
  uint64_t before = 99, after = 99;
  { kj::Thread thread([&]() { before = f.watch.seq(); }); }
  f.source.advance();
  f.settle();
  { kj::Thread thread([&]() { after = f.watch.seq(); }); }
  KJ_EXPECT(before == 0);
  KJ_EXPECT(after == 1);
}

KJ_TEST("a source that fails is reported to the owner, and the epoch stays") {
  Fixture f;
  auto lease = f.watch.issue();
  f.source.fail(KJ_EXCEPTION(FAILED, "chain gone"));
  f.settle();
  KJ_EXPECT(f.failure == "chain gone");
  KJ_EXPECT(f.watch.seq() == 0);
  KJ_EXPECT(lease->stands());
}

KJ_TEST("an epoch that is not newer is reported, never adopted") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  WaywardSource source(7);
  HeadWatch watch(source);
  auto lease = watch.issue();
  for (uint64_t seq: {uint64_t(3), uint64_t(7)}) {
    source.next = seq;
    KJ_EXPECT_THROW_MESSAGE(kj::str("the head's source went back: from epoch 7 to ", seq),
                            watch.follow().wait(waitScope));
    KJ_EXPECT(watch.seq() == 7);
    KJ_EXPECT(watch.epoch().seq == 7);
  }
  KJ_EXPECT(lease->stands());
}

KJ_TEST("a lease that all have dropped leaves the list") {
  Fixture f;
  auto kept = f.watch.issue();
  for (int i = 0; i < 1000; i++) {
    auto dropped = f.watch.issue();
    KJ_EXPECT(f.watch.leaseCount() == 2);
  }
  KJ_EXPECT(f.watch.leaseCount() == 1);
}

KJ_TEST("what a lease's end drops may be another lease") {
  Fixture f;
  auto first = f.watch.issue(), second = f.watch.issue(), third = f.watch.issue();
  auto body = first->hold(kj::Promise<void>(kj::NEVER_DONE)
      .attach(kj::mv(second), kj::mv(third)));
  KJ_EXPECT(f.watch.leaseCount() == 3);
  f.source.advance();
  f.settle();
  KJ_EXPECT(f.watch.leaseCount() == 0);
  KJ_EXPECT_THROW_MESSAGE("staleEpoch: issued 0, current 1", body.wait(f.waitScope));
}

KJ_TEST("an advance takes one event for each lease at the most, and a few of its own") {
  auto countTurns = [](uint leases) {
    kj::EventLoop loop;
    kj::WaitScope waitScope(loop);
    ManualHeadSource source;
    HeadWatch watch(source);
    kj::Vector<kj::Own<Lease>> held;
    for (uint i = 0; i < leases; i++) held.add(watch.issue());
    auto following = watch.follow().eagerlyEvaluate(nullptr);
    waitScope.poll();
    source.advance();
    auto turns = waitScope.poll();
    for (auto& lease: held) KJ_EXPECT(!lease->stands());
    KJ_EXPECT(watch.leaseCount() == 0);
    return turns;
  };
  auto one = countTurns(1);
  KJ_EXPECT(one > 0);
  KJ_EXPECT(countTurns(10000) <= one + 10000);
}

KJ_TEST("a watch that is closed revokes all, destroys their bodies, and issues none") {
  Fixture f;
  auto lease = f.watch.issue(), other = f.watch.issue();
  bool destroyed = false;
  auto body = lease->hold(kj::Promise<void>(kj::NEVER_DONE).attach(kj::defer([&]() {
    destroyed = true;
  })));
  KJ_EXPECT(!body.poll(f.waitScope));
  f.watch.close("the chain went back");
  KJ_EXPECT(!lease->stands() && !other->stands() && destroyed);
  KJ_EXPECT(f.watch.leaseCount() == 0);
  KJ_EXPECT(lease->reason().getDescription() == "revoked: the chain went back");
  KJ_EXPECT_THROW_MESSAGE("revoked: the chain went back", body.wait(f.waitScope));
  KJ_EXPECT_THROW_MESSAGE("unauthorized: the chain went back", f.watch.issue());
  f.source.advance();
  f.settle();
  KJ_EXPECT(f.watch.seq() == 0, "for good");
  KJ_EXPECT(f.failure == nullptr);
}

KJ_TEST("leases outlive their watch, as ended ones") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  StaticHeadSource source;
  auto watch = kj::heap<HeadWatch>(source);
  auto standing = watch->issue(), stale = watch->issue(), settled = watch->issue();
  settled->revoke("before");
  waitScope.poll();
  watch->store({1, nullptr, 0});  // the first half only: `stale` has not been told
  auto young = watch->issue();
  auto body = stale->hold(kj::Promise<void>(kj::NEVER_DONE));
  watch = nullptr;
  KJ_EXPECT(young->reason().getDescription() == "ended: the node is shutting down");
  for (auto lease: {standing.get(), stale.get(), settled.get(), young.get()}) {
    KJ_EXPECT(!lease->stands());
    lease->onEnded().wait(waitScope);
  }
  KJ_EXPECT(stale->reason().getDescription() == "staleEpoch: issued 0, current 1");
  KJ_EXPECT(settled->reason().getDescription() == "revoked: before");
  KJ_EXPECT_THROW_MESSAGE("staleEpoch: issued 0, current 1", body.wait(waitScope));
}

KJ_TEST("a watch that dies destroys bodies of leases that were stale but not told") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  StaticHeadSource source;
  auto watch = kj::heap<HeadWatch>(source);
  auto lease = watch->issue();
  bool destroyed = false;
  auto body = lease->hold(kj::Promise<void>(kj::NEVER_DONE)
      .attach(kj::defer([&]() { destroyed = true; })));
  watch->store({1, nullptr, 0});
  watch = nullptr;
  waitScope.poll();
  KJ_EXPECT(destroyed);
}

}  // namespace
}  // namespace ww
