#include <ww/membrane/allowed-keys.h>

#include <kj/test.h>
#include <ww/epoch/head-watch.h>

namespace ww {
namespace {

using Hold = AllowedKeys::Hold;

PublicKey keyOf(kj::byte number) {
  PublicKey key = {};
  key.bytes[0] = number;
  return key;
}

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  StaticHeadSource source;
  HeadWatch watch{source};
  kj::Own<AllowedKeys> allowed = kj::heap<AllowedKeys>();

  void set(std::initializer_list<AllowedKey> keys) {
    allowed->set(kj::heapArray<AllowedKey>(keys.begin(), keys.size()));
  }
  kj::Own<Hold> hold(kj::byte number) {
    return allowed->hold(KJ_ASSERT_NONNULL(allowed->find(keyOf(number))));
  }
  kj::Own<Lease> lease(kj::byte number) {
    auto lease = watch.issue();
    Hold::bind(hold(number), *lease);
    return lease;
  }
};

void expectEnd(const Lease& lease, kj::StringPtr why) {
  KJ_EXPECT(KJ_ASSERT_NONNULL(lease.findEnd()).getDescription() == why);
}
constexpr kj::StringPtr REVOKED = "revoked: this key is no longer allowed"_kj;

KJ_TEST("a key is found with its rights, wherever in the list it is") {
  Fixture f;
  KJ_EXPECT(f.allowed->find(keyOf(1)) == nullptr);
  f.set({{keyOf(1), false}, {keyOf(2), true}, {keyOf(3), false}});
  for (kj::byte number: {1, 2, 3}) {
    auto found = KJ_ASSERT_NONNULL(f.allowed->find(keyOf(number)));
    KJ_EXPECT(equalInConstantTime(found.key, keyOf(number)));
    KJ_EXPECT(found.node == (number == 2));
  }
  KJ_EXPECT(f.allowed->find(keyOf(0)) == nullptr);
  KJ_EXPECT(f.allowed->find(keyOf(4)) == nullptr);
  f.set({{keyOf(1), false}, {keyOf(1), true}});
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.allowed->find(keyOf(1))).node);
}

KJ_TEST("removing a key ends its leases within that call, and no others") {
  Fixture f;
  f.set({{keyOf(1)}, {keyOf(2)}});
  auto first = f.lease(1), again = f.lease(1), other = f.lease(2);
  f.set({{keyOf(2)}});
  expectEnd(*first, REVOKED);
  expectEnd(*again, REVOKED);
  KJ_EXPECT(other->stands());
  f.set({{keyOf(1)}, {keyOf(2)}});  // ended for good
  expectEnd(*first, REVOKED);
  KJ_EXPECT(f.lease(1)->stands());
  f.set({});
  expectEnd(*other, REVOKED);
}

KJ_TEST("a lease admitted with the node right ends with it; one without does not care") {
  Fixture f;
  f.set({{keyOf(1), true}, {keyOf(2), false}});
  auto with = f.lease(1), without = f.lease(2);
  f.set({{keyOf(1), true}, {keyOf(2), true}});
  KJ_EXPECT(with->stands() && without->stands());
  f.set({{keyOf(1), false}, {keyOf(2), false}});
  expectEnd(*with, "revoked: this key is still allowed, but no longer with ,node");
  KJ_EXPECT(without->stands());
}

KJ_TEST("a key that is removed between admission and the lease is not missed") {
  Fixture f;
  f.set({{keyOf(1)}});
  auto hold = f.hold(1);
  f.set({});
  f.set({{keyOf(1)}});
  auto lease = f.watch.issue();
  Hold::bind(kj::mv(hold), *lease);
  expectEnd(*lease, REVOKED);
}

KJ_TEST("a body in flight is destroyed as its key is removed") {
  Fixture f;
  f.set({{keyOf(1)}});
  auto lease = f.lease(1);
  bool destroyed = false;
  auto body = lease->hold(kj::Promise<void>(kj::NEVER_DONE)
      .attach(kj::defer([&]() { destroyed = true; })));
  f.set({});
  KJ_EXPECT_THROW_MESSAGE("revoked: this key is no longer allowed", body.wait(f.waitScope));
  KJ_EXPECT(destroyed);
}

KJ_TEST("holds are registered for as long as their lease, or they, are kept") {
  Fixture f;
  f.set({{keyOf(1)}});
  auto hold = f.hold(1);
  auto lease = f.lease(1), ended = f.lease(1);
  KJ_EXPECT(f.allowed->holdCount() == 3);
  hold = nullptr;
  lease = nullptr;
  ended->finish("x");
  f.waitScope.poll();
  KJ_EXPECT(f.allowed->holdCount() == 1);
  f.set({});
  expectEnd(*ended, "ended: x");
  ended = nullptr;
  KJ_EXPECT(f.allowed->holdCount() == 0);
}

KJ_TEST("no lease outlives the list standing") {
  Fixture f;
  f.set({{keyOf(1)}});
  auto lease = f.lease(1), late = f.watch.issue();
  auto hold = f.hold(1);
  f.allowed = nullptr;
  expectEnd(*lease, "ended: the node is shutting down");
  Hold::bind(kj::mv(hold), *late);
  expectEnd(*late, "ended: the node is shutting down");
}

}  // namespace
}  // namespace ww
