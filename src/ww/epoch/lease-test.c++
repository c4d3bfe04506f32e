#include <ww/epoch/lease.h>

#include <kj/test.h>
#include <ww/epoch/head-watch.h>

namespace ww {
namespace {

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  StaticHeadSource source;
  HeadWatch watch{source};
  kj::Own<Lease> lease = watch.issue();

  void advance() {
    watch.store({watch.seq() + 1, nullptr, 0});
    watch.announce().wait(waitScope);
  }
  kj::String why() {
    auto reason = lease->reason();
    KJ_EXPECT(reason.getType() == kj::Exception::Type::FAILED);
    return kj::str(reason.getDescription());
  }
};

KJ_TEST("a lease that stands refuses nothing") {
  Fixture f;
  KJ_EXPECT(f.lease->stands());
  KJ_EXPECT(f.lease->findEnd() == nullptr);
  f.lease->check();
  KJ_EXPECT(f.lease->hold(kj::Promise<int>(5)).wait(f.waitScope) == 5);
  KJ_EXPECT_THROW_MESSAGE("body failed", f.lease->hold(
      kj::Promise<void>(KJ_EXCEPTION(FAILED, "body failed"))).wait(f.waitScope));
  KJ_EXPECT(!f.lease->onEnded().poll(f.waitScope));
}

KJ_TEST("each reason has its prefix, and is of type FAILED") {
  {
    Fixture f;
    f.advance();
    KJ_EXPECT(f.why() == "staleEpoch: issued 0, current 1");
  }
  {
    Fixture f;
    f.lease->revoke("key 7 was removed");
    KJ_EXPECT(f.why() == "revoked: key 7 was removed");
  }
  {
    Fixture f;
    f.lease->finish("the link is gone");
    KJ_EXPECT(f.why() == "ended: the link is gone");
  }
}

KJ_TEST("whoever is to fail by the end fails when the others are told, or at once") {
  Fixture f;
  auto first = f.lease->failOnEnd(), second = f.lease->failOnEnd();
  KJ_EXPECT(!first.poll(f.waitScope));
  f.watch.store({1, nullptr, 0});
  auto third = f.lease->failOnEnd();
  KJ_EXPECT(!first.poll(f.waitScope) && !third.poll(f.waitScope));
  f.watch.announce().wait(f.waitScope);
  for (auto promise: {&first, &second, &third}) {
    KJ_EXPECT_THROW_MESSAGE("staleEpoch: issued 0, current 1", promise->wait(f.waitScope));
  }
  KJ_EXPECT_THROW_MESSAGE("staleEpoch: issued 0, current 1",
                          f.lease->failOnEnd().wait(f.waitScope));
}

KJ_TEST("check(), findEnd() and hold() refuse at once, before the event of the end has run") {
  Fixture f;
  f.lease->revoke("x");
  KJ_EXPECT(!f.lease->stands());
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.lease->findEnd()).getDescription() == "revoked: x");
  KJ_EXPECT_THROW_MESSAGE("revoked: x", f.lease->check());
  bool ran = false;
  auto body = f.lease->hold(kj::evalLater([&]() { ran = true; }));
  KJ_EXPECT_THROW_MESSAGE("revoked: x", body.wait(f.waitScope));
  KJ_EXPECT(!ran);
}

KJ_TEST("the first end wins") {
  {
    Fixture f;
    f.lease->revoke("first");
    f.lease->finish("second");
    f.advance();
    f.lease->revoke("third");
    KJ_EXPECT(f.why() == "revoked: first");
  }
  {
    Fixture f;
    f.watch.store({4, nullptr, 0});
    f.lease->revoke("late");
    KJ_EXPECT(f.why() == "staleEpoch: issued 0, current 4");
    f.lease->onEnded().wait(f.waitScope);  // though nobody has announced the advance
  }
}

KJ_TEST("a stale lease keeps the epoch that ended it in its reason") {
  Fixture f;
  f.advance();
  f.advance();
  KJ_EXPECT(f.why() == "staleEpoch: issued 0, current 1");
}

KJ_TEST("onEnded() resolves in an event of its own, for any number of callers, and afterwards") {
  Fixture f;
  int told = 0;
  auto tell = [&]() { ++told; };
  auto first = f.lease->onEnded().then(tell).eagerlyEvaluate(nullptr);
  auto second = f.lease->onEnded().then(tell).eagerlyEvaluate(nullptr);
  { auto dropped = f.lease->onEnded().then(tell); }
  f.lease->finish("x");
  KJ_EXPECT(told == 0);
  f.waitScope.poll();
  KJ_EXPECT(told == 2);
  f.lease->onEnded().then(tell).wait(f.waitScope);
  f.lease->finish("again");
  f.waitScope.poll();
  KJ_EXPECT(told == 3);
}

KJ_TEST("a body in flight is destroyed with the reason; one that is done is left alone") {
  Fixture f;
  auto paf = kj::newPromiseAndFulfiller<void>();
  bool went = false, destroyed = false;
  auto body = f.lease->hold(paf.promise.then([&]() { went = true; })
      .attach(kj::defer([&]() { destroyed = true; })));
  auto done = f.lease->hold(kj::Promise<int>(3));
  f.waitScope.poll();
  f.lease->revoke("x");
  KJ_EXPECT(!destroyed);
  f.waitScope.poll();
  KJ_EXPECT(destroyed);
  paf.fulfiller->fulfill();
  KJ_EXPECT_THROW_MESSAGE("revoked: x", body.wait(f.waitScope));
  KJ_EXPECT(!went);
  KJ_EXPECT(done.wait(f.waitScope) == 3);
}

KJ_TEST("a held body may end its lease: it goes on to its next wait, the others end too") {
  Fixture f;
  bool rest = false, beyond = false;
  auto self = f.lease->hold(kj::evalLater([&]() {
    f.lease->revoke("by a body");
    rest = true;
    return kj::evalLater([]() {}).then([]() -> kj::Promise<void> { return kj::NEVER_DONE; });
  }).then([&]() { beyond = true; }));
  auto other = f.lease->hold(kj::Promise<void>(kj::NEVER_DONE));
  KJ_EXPECT_THROW_MESSAGE("revoked: by a body", self.wait(f.waitScope));
  KJ_EXPECT_THROW_MESSAGE("revoked: by a body", other.wait(f.waitScope));
  KJ_EXPECT(rest && !beyond);
}

KJ_TEST("a held body may store a new epoch and drop the last reference to its lease") {
  Fixture f;
  auto paf = kj::newPromiseAndFulfiller<void>();
  auto& lease = *f.lease;
  auto self = lease.hold(paf.promise.then([&]() -> kj::Promise<void> {
    f.watch.store({1, nullptr, 0});
    f.lease->revoke("late");
    f.lease = nullptr;
    return kj::NEVER_DONE;
  }));
  paf.fulfiller->fulfill();
  KJ_EXPECT_THROW_MESSAGE("staleEpoch: issued 0, current 1", self.wait(f.waitScope));
  KJ_EXPECT(f.watch.leaseCount() == 0);
}

KJ_TEST("a body whose destructor throws does not save the others") {
  Fixture f;
  int destroyed = 0;
  auto make = [&]() {
    return f.lease->hold(kj::Promise<void>(kj::NEVER_DONE).attach(kj::defer([&]() {
      ++destroyed;
      kj::throwFatalException(KJ_EXCEPTION(FAILED, "in a destructor"));
    })));
  };
  auto first = make(), second = make(), third = make();
  {
    KJ_EXPECT_LOG(ERROR, "in a destructor");
    KJ_EXPECT_LOG(ERROR, "in a destructor");
    KJ_EXPECT_LOG(ERROR, "in a destructor");
    f.lease->revoke("x");
    f.waitScope.poll();
  }
  KJ_EXPECT(destroyed == 3);
  KJ_EXPECT_THROW_MESSAGE("revoked: x", first.wait(f.waitScope));
  f.lease->onEnded().wait(f.waitScope);
}

KJ_TEST("what is attached lives as long as the lease, not as long as it stands") {
  Fixture f;
  bool gone = false;
  f.lease->attach(kj::heap(kj::defer([&]() { gone = true; })));
  f.lease->revoke("x");
  f.waitScope.poll();
  KJ_EXPECT(!gone);
  f.lease = nullptr;
  KJ_EXPECT(gone);
}

KJ_TEST("onEnded() of a lease that was dropped standing rejects") {
  Fixture f;
  auto onEnded = f.lease->onEnded();
  f.lease = nullptr;
  KJ_EXPECT(f.watch.leaseCount() == 0);
  KJ_EXPECT_THROW_MESSAGE("ended: the session was dropped", onEnded.wait(f.waitScope));
}

}  // namespace
}  // namespace ww
