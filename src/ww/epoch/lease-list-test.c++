// Leases of one session on two loops: what ends one ends the other, at once and then in its turn.
#include <ww/epoch/lease-list.h>

#include <kj/async-io.h>
#include <kj/test.h>
#include <kj/thread.h>
#include <ww/epoch/head-watch.h>

namespace ww {
namespace {

// Two lists of one thread, as if each were of a loop of its own.
struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::Own<const LoopInbox> here = kj::atomicRefcounted<LoopInbox>();
  kj::Own<const LoopInbox> there = kj::atomicRefcounted<LoopInbox>();
  StaticHeadSource source;
  HeadWatch watch{source, kj::atomicAddRef(*here)};
  LeaseList others{kj::atomicAddRef(*there)};
  kj::Own<Lease> lease = watch.issue();

  kj::Own<Lease> join() { return others.join(lease->share()); }
  kj::String why(const Lease& of) { return kj::str(of.reason().getDescription()); }
};

bool isOver(kj::WaitScope& waitScope, Lease& lease) { return lease.onEnded().poll(waitScope); }

KJ_TEST("a session has one lease on each loop, whoever asks") {
  Fixture f;
  auto other = f.join();
  KJ_EXPECT(other.get() != f.lease.get() && other->stands());
  KJ_EXPECT(f.join().get() == other.get());
  KJ_EXPECT(f.watch.getLeases().join(other->share()).get() == f.lease.get(), "back at home");
  KJ_EXPECT(f.others.size() == 1);
  other = nullptr;
  KJ_EXPECT(f.others.size() == 0);
}

KJ_TEST("an end is in force on the other loop at once, and settled once that is told") {
  for (bool atHome: {true, false}) {
    Fixture f;
    auto other = f.join();
    auto held = other->hold(kj::Promise<void>(kj::NEVER_DONE));
    auto& ending = atHome ? *f.lease : *other;
    auto& told = atHome ? *other : *f.lease;
    ending.revoke("key 7 was removed");
    KJ_EXPECT(!other->stands() && !f.lease->stands());
    KJ_EXPECT(f.why(told) == "revoked: key 7 was removed");
    KJ_EXPECT_THROW_MESSAGE("revoked: key 7", told.check());
    KJ_EXPECT(isOver(f.waitScope, ending) && !isOver(f.waitScope, told));
    (atHome ? f.there : f.here)->runAll();
    KJ_EXPECT(isOver(f.waitScope, told));
    KJ_EXPECT_THROW_MESSAGE("revoked: key 7 was removed", held.wait(f.waitScope));
  }
}

KJ_TEST("the head's move is in force on all loops at once; each settles its own") {
  Fixture f;
  auto other = f.join();
  auto held = other->hold(kj::Promise<void>(kj::NEVER_DONE));
  bool told = false;
  f.watch.onMove([&]() { told = true; });
  f.watch.store({1, nullptr, 0});
  KJ_EXPECT(!other->stands() && !told);
  KJ_EXPECT(f.why(*other) == "staleEpoch: issued 0, current 1");
  f.watch.announce().wait(f.waitScope);
  KJ_EXPECT(told && !isOver(f.waitScope, *other));
  f.others.settleEnded();
  KJ_EXPECT(isOver(f.waitScope, *other));
  KJ_EXPECT_THROW_MESSAGE("staleEpoch: issued 0, current 1", held.wait(f.waitScope));
}

KJ_TEST("who joins after the end has a lease that has ended, and is told") {
  Fixture f;
  auto share = f.lease->share(), second = f.lease->share();
  f.lease->finish("x");
  auto late = f.others.join(kj::mv(share));
  KJ_EXPECT(!late->stands());
  KJ_EXPECT_THROW_MESSAGE("ended: x", late->failOnEnd().wait(f.waitScope));
  f.watch.store({1, nullptr, 0});
  auto later = f.others.join(kj::mv(second));
  KJ_EXPECT(isOver(f.waitScope, *later) && f.why(*later) == "ended: x");
}

KJ_TEST("what is ended by one thread is ended for another") {
  Fixture f;
  kj::MutexGuarded<int> stage{0};
  auto reach = [&](int wanted) { *stage.lockExclusive() = wanted; };
  auto await = [&](int wanted) {
    stage.when([wanted](int at) { return at >= wanted; }, [](int&) {});
  };
  kj::Thread thread([&, share = f.lease->share()]() mutable {
    auto io = kj::setupAsyncIo();
    auto inbox = kj::atomicRefcounted<LoopInbox>();
    LeaseList list(kj::atomicAddRef(*inbox));
    auto serving = inbox->serve().eagerlyEvaluate(nullptr);
    auto lease = list.join(kj::mv(share));
    auto held = lease->hold(kj::Promise<void>(kj::NEVER_DONE));
    KJ_EXPECT(lease->stands());
    reach(1);
    await(2);
    KJ_EXPECT(!lease->stands(), "before this loop has turned");
    KJ_EXPECT_THROW_MESSAGE("ended: the link is gone", held.wait(io.waitScope));
  });
  await(1);
  f.lease->finish("the link is gone");
  reach(2);
}

}  // namespace
}  // namespace ww
