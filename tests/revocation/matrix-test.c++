// Every shape in which a capability can be held × how it is reached × when the head moves. Wherever
// the head is stored, the atomic decides: from then on nothing has an effect, and who is not
// answered hears that the epoch is over, as a failure that leaves the link alone.
#include <kj/test.h>
#include <ww/membrane/epoch-policy.h>
#include "world.h"

namespace ww {
namespace {

constexpr kj::uint TURNS = 120;  // more than any of the calls takes
constexpr kj::StringPtr STALE = "staleEpoch: issued 0, current 1"_kj;

// What a guest holds before the head moves, and the one call that it makes through it.
struct Shape {
  kj::StringPtr name;
  kj::Function<kj::Promise<void>()> (*prepare)(World&);
};

template <typename Client>
kj::Promise<void> touch(Client&& client) {
  return client.touchRequest().send().ignoreResult();
}

using Call = kj::Function<kj::Promise<void>()>;

const Shape SHAPES[] = {
    {"the session's own", [](World& world) -> Call {
       return [probe = world.graftProbe()]() mutable { return touch(probe); };
     }},
    {"promised", [](World& world) -> Call {
       return [probe = world.graftProbe()]() mutable {
         return touch(probe.sameRequest().send().getProbe());
       };
     }},
    {"promised by a promise", [](World& world) -> Call {
       return [probe = world.graftProbe()]() mutable {
         return touch(probe.otherRequest().send().getProbe().sameRequest().send().getProbe());
       };
     }},
    {"promised before, and by now resolved", [](World& world) -> Call {
       auto probe = world.graftProbe().otherRequest().send().getProbe();
       world.settle();
       return [probe = kj::mv(probe)]() mutable { return touch(probe); };
     }},
    {"returned", [](World& world) -> Call {
       auto probe = world.graftProbe().otherRequest().send().wait(world.waitScope).getProbe();
       return [probe = kj::mv(probe)]() mutable { return touch(probe); };
     }},
    {"returned by one that was returned, which is gone", [](World& world) -> Call {
       auto one = world.graftProbe().otherRequest().send().wait(world.waitScope).getProbe();
       auto two = one.otherRequest().send().wait(world.waitScope).getProbe();
       return [probe = kj::mv(two)]() mutable { return touch(probe); };
     }},
    {"of the session's host", [](World& world) -> Call {
       kj::Maybe<capnp::Response<Membrane::GraftResults>> response;
       auto host = world.graft(response).getHost();
       return [host = kj::mv(host)]() mutable {
         return touch(host.executorRequest().send().getExecutor().castAs<Probe>());
       };
     }},
    {"passed in and out again", [](World& world) -> Call {
       auto probe = world.graftProbe();
       auto keep = probe.keepRequest();
       keep.setProbe(probe.otherRequest().send().wait(world.waitScope).getProbe());
       keep.send().wait(world.waitScope);
       auto kept = probe.keptRequest().send().wait(world.waitScope).getProbe();
       return [probe = kj::mv(kept)]() mutable { return touch(probe); };
     }},
    {"in flight until the gate opens", [](World& world) -> Call {
       return [probe = world.graftProbe()]() mutable {
         return probe.parkRequest().send().ignoreResult();
       };
     }},
    {"queued on a promise until the gate opens", [](World& world) -> Call {
       return [probe = world.graftProbe()]() mutable {
         return touch(probe.lateRequest().send().getProbe());
       };
     }},
};

kj::Maybe<kj::Exception> outcome(World& world, kj::Promise<void> promise) {
  return kj::runCatchingExceptions([&]() { promise.wait(world.waitScope); });
}

void expectStale(const kj::Maybe<kj::Exception>& exception, kj::StringPtr where) {
  KJ_IF_MAYBE(e, exception) {
    KJ_EXPECT(e->getType() == kj::Exception::Type::FAILED, where, *e);
    KJ_EXPECT(e->getDescription().endsWith(STALE), where, *e);
  } else {
    KJ_FAIL_EXPECT("answered after the head had moved", where);
  }
}

// The link lives, and the next graft gives what works.
void expectFreshSessionWorks(World& world) {
  auto before = world.trace.effects;
  touch(world.graftProbe()).wait(world.waitScope);
  KJ_EXPECT(world.trace.effects == before + 2);
}

// The call is sent, and the head moves `turns` turns of the loop later. `late`: the event that
// destroys bodies comes only once all else has come to rest.
void moveAfter(const Shape& shape, Reach reach, kj::uint turns, bool late) {
  auto where = kj::str(shape.name, ", ", name(reach), ", after ",
                       turns, " turns", late ? ", the event late" : "");
  World world(reach);
  {
    auto call = shape.prepare(world);
    auto promise = call();
    world.waitScope.poll(turns);
    auto before = world.trace.effects;
    world.moveHead();
    if (late) world.settle();
    world.announce();
    world.settle();
    KJ_EXPECT(world.trace.bodies == 0, "a body outlived its session", where);
    world.trace.gate.open();
    world.settle();
    KJ_EXPECT(world.trace.effects == before, where);

    auto exception = outcome(world, kj::mv(promise));
    if (exception == nullptr) {
      KJ_EXPECT(before == 2, "answered without its whole effect", where);
    } else {
      expectStale(exception, where);
    }
    expectStale(outcome(world, call()), where);
    KJ_EXPECT(world.trace.effects == before, where);
  }
  expectFreshSessionWorks(world);
}

void moveAfterEachTurn(Reach reach, bool late) {
  for (auto& shape: SHAPES) {
    for (kj::uint turns = 0; turns < TURNS; turns++) moveAfter(shape, reach, turns, late);
  }
}

KJ_TEST("local: the head moves after each turn, atomic and event together") {
  moveAfterEachTurn(Reach::LOCAL, false);
}
KJ_TEST("local: the head moves after each turn, the event late") {
  moveAfterEachTurn(Reach::LOCAL, true);
}
KJ_TEST("two-party: the head moves after each turn, atomic and event together") {
  moveAfterEachTurn(Reach::TWO_PARTY, false);
}
KJ_TEST("two-party: the head moves after each turn, the event late") {
  moveAfterEachTurn(Reach::TWO_PARTY, true);
}
KJ_TEST("channel: the head moves after each turn, atomic and event together") {
  moveAfterEachTurn(Reach::CHANNEL, false);
}
KJ_TEST("channel: the head moves after each turn, the event late") {
  moveAfterEachTurn(Reach::CHANNEL, true);
}

KJ_TEST("a graft on its way when the node ends reaches nothing of it") {
  for (auto reach: {Reach::LOCAL, Reach::TWO_PARTY, Reach::CHANNEL}) {
    kj::uint refused = 0;
    for (kj::uint turns = 0; turns < TURNS; turns++) {
      World world(reach);
      auto promise = world.membrane.graftRequest().send().ignoreResult();
      world.waitScope.poll(turns);
      world.gate->close();
      world.offering = false;  // what a graft would need is gone
      KJ_IF_MAYBE(exception, outcome(world, kj::mv(promise))) {
        KJ_EXPECT(exception->getDescription().endsWith("ended: the node is shutting down"));
        ++refused;
      }
      KJ_EXPECT(outcome(world, world.membrane.graftRequest().send().ignoreResult()) != nullptr);
    }
    KJ_EXPECT(refused > 0 && refused < TURNS);
  }
}

// Not vacuous: left alone, each shape's call has its effects and is answered, within the turns.
KJ_TEST("without an advance every shape is answered") {
  for (auto& shape: SHAPES) {
    for (auto reach: {Reach::LOCAL, Reach::TWO_PARTY, Reach::CHANNEL}) {
      World world(reach);
      auto call = shape.prepare(world);
      auto promise = call();
      world.trace.gate.open();
      KJ_EXPECT(world.waitScope.poll(TURNS) < TURNS, shape.name);
      KJ_EXPECT(promise.poll(world.waitScope), shape.name);
      promise.wait(world.waitScope);
      KJ_EXPECT(world.trace.effects == 2, shape.name);
    }
  }
}

KJ_TEST("a request built before the head moves and sent after is stale") {
  for (auto reach: {Reach::LOCAL, Reach::TWO_PARTY, Reach::CHANNEL}) {
    for (bool announced: {false, true}) {
      World world(reach);
      auto request = world.graftProbe().touchRequest();
      world.moveHead();
      if (announced) world.announce();
      expectStale(outcome(world, request.send().ignoreResult()), "built before");
      KJ_EXPECT(world.trace.effects == 0);
    }
  }
}

KJ_TEST("a stale capability stays stale when it comes in and out through a fresh session") {
  for (auto reach: {Reach::LOCAL, Reach::TWO_PARTY, Reach::CHANNEL}) {
    World world(reach);
    auto old = world.graftProbe();
    world.moveHead();
    world.announce();
    auto fresh = world.graftProbe();
    auto keep = fresh.keepRequest();
    keep.setProbe(old);
    keep.send().wait(world.waitScope);
    auto laundered = fresh.keptRequest().send().wait(world.waitScope).getProbe();
    expectStale(outcome(world, touch(laundered)), "laundered");
    auto promised = fresh.keptRequest().send().getProbe();
    expectStale(outcome(world, touch(promised)), "laundered, promised");
    KJ_EXPECT(world.trace.effects == 0);
    world.trace.kept = nullptr;
  }
}

KJ_TEST("a session's capability does not outlive it in the node either") {
  for (auto reach: {Reach::LOCAL, Reach::TWO_PARTY, Reach::CHANNEL}) {
    World world(reach);
    {
      auto probe = world.graftProbe();
      auto keep = probe.keepRequest();
      keep.setProbe(probe.otherRequest().send().getProbe());
      keep.send().wait(world.waitScope);
    }
    world.moveHead();
    world.announce();
    auto kept = world.graftProbe().keptRequest().send().wait(world.waitScope).getProbe();
    expectStale(outcome(world, touch(kept)), "kept");
    KJ_EXPECT(world.trace.effects == 0);
    world.trace.kept = nullptr;
  }
}

KJ_TEST("a guest's own object comes back as itself, in whatever epoch") {
  for (auto reach: {Reach::LOCAL, Reach::TWO_PARTY, Reach::CHANNEL}) {
    World world(reach);
    Trace guest;
    auto probe = world.graftProbe();
    auto keep = probe.keepRequest();
    keep.setProbe(kj::heap<GuestProbe>(guest));
    keep.send().wait(world.waitScope);
    auto own = probe.keptRequest().send().wait(world.waitScope).getProbe();
    world.moveHead();
    world.announce();
    touch(own).wait(world.waitScope);
    KJ_EXPECT(guest.effects == 2);
    world.trace.kept = nullptr;
  }
}

KJ_TEST("the node calls no guest back for a session that is over") {
  for (auto reach: {Reach::LOCAL, Reach::TWO_PARTY, Reach::CHANNEL}) {
    kj::uint touched = 0;
    for (kj::uint turns = 0; turns < TURNS; turns++) {
      World world(reach);
      Trace guest;
      auto request = world.graftProbe().callBackRequest();
      request.setProbe(kj::heap<GuestProbe>(guest));
      auto promise = request.send().ignoreResult();
      world.waitScope.poll(turns);
      world.moveHead();
      world.announce();
      world.settle();
      auto exception = outcome(world, kj::mv(promise));
      if (exception != nullptr) expectStale(exception, kj::str("callback after ", turns));
      // What was sent before is on its way, and nothing takes it back.
      if (guest.effects > 0) ++touched;
      KJ_EXPECT(turns > 0 || guest.effects == 0);
    }
    KJ_EXPECT(touched > 0 && touched < TURNS);
  }
}

KJ_TEST("a body that moves the head itself goes on to its next wait and no further") {
  for (auto reach: {Reach::LOCAL, Reach::TWO_PARTY, Reach::CHANNEL}) {
    World world(reach);
    auto probe = world.graftProbe();
    auto other = probe.parkRequest().send().ignoreResult();
    expectStale(outcome(world, probe.moveHeadRequest().send().ignoreResult()), "the mover");
    expectStale(outcome(world, kj::mv(other)), "a bystander");
    KJ_EXPECT(world.trace.effects == 2);
    world.trace.gate.open();
    world.settle();
    KJ_EXPECT(world.trace.effects == 2);
    expectFreshSessionWorks(world);
  }
}

// Neither checks anything itself: only the policy is between it and the guest.
class CarelessProbe final: public Probe::Server {
 public:
  explicit CarelessProbe(Trace& trace): trace(trace) {}
  kj::Promise<void> touch(TouchContext) override {
    ++trace.effects;
    return kj::READY_NOW;
  }
  kj::Promise<void> callBack(CallBackContext context) override {
    auto guest = context.getParams().getProbe();
    ++trace.effects;
    co_await trace.gate.pass();
    co_await guest.touchRequest().send().ignoreResult();
    ++trace.effects;
  }

 private:
  Trace& trace;
};

KJ_TEST("the policy alone refuses what crosses after the head has moved, inwards and outwards") {
  World world(Reach::LOCAL);
  Trace guest;
  auto lease = world.watch.issue();
  auto probe = bindToLease<Probe>(*lease, kj::heap<CarelessProbe>(world.trace));
  auto request = probe.callBackRequest();
  request.setProbe(kj::heap<GuestProbe>(guest));
  auto promise = request.send().ignoreResult();
  touch(probe).wait(world.waitScope);
  KJ_EXPECT(world.trace.effects == 2);

  world.moveHead();  // and no event yet
  expectStale(outcome(world, touch(probe)), "inwards");
  KJ_EXPECT(world.trace.effects == 2);
  world.trace.gate.open();
  world.settle();
  KJ_EXPECT(world.trace.effects == 2);
  KJ_EXPECT(guest.effects == 0);
}

KJ_TEST("a caller that gave up is no obstacle") {
  for (auto reach: {Reach::LOCAL, Reach::TWO_PARTY, Reach::CHANNEL}) {
    for (kj::uint turns = 0; turns < TURNS; turns++) {
      World world(reach);
      auto probe = world.graftProbe();
      {
        auto promise = probe.parkRequest().send();
        world.waitScope.poll(turns);
        world.moveHead();
      }
      world.announce();
      world.settle();
      KJ_EXPECT(world.trace.effects <= 1);
      expectFreshSessionWorks(world);
    }
  }
}

}  // namespace
}  // namespace ww
