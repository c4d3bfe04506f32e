// Who waits for whom: parties that call each other back, more often than a link lets them. Some
// calls are refused, none waits for ever, and nothing stays counted.
#include <membrane.capnp.h>
#include <stem.capnp.h>
#include "quota-fixture-test.h"

namespace ww {
namespace {

using Membrane = stem::Membrane<membrane::WetwareSession>;

constexpr kj::uint CALLS = 1000;
constexpr kj::uint LIMIT = 300;

LinkLimits few() {
  LinkLimits limits;
  limits.quota.calls = LIMIT;
  return limits;
}

// Calls its caller back before it answers.
class CallsBack final: public Membrane::Server {
 public:
  kj::Promise<void> graft(GraftContext context) override {
    co_await context.getParams().getSigner().signRequest().send();
  }
};

class Signer final: public stem::Signer::Server {
 public:
  kj::Promise<void> sign(SignContext) override { return kj::READY_NOW; }
};

struct Loop {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};

  struct Outcome {
    kj::uint answered = 0, refused = 0, stuck = 0;
  };

  // Once nothing moves any more.
  Outcome outcomeOf(kj::ArrayPtr<kj::Promise<void>> calls) {
    Outcome outcome;
    waitScope.poll();
    for (auto& call: calls) {
      if (!call.poll(waitScope)) {
        ++outcome.stuck;
        continue;
      }
      KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { call.wait(waitScope); })) {
        KJ_EXPECT(e->getDescription() == "remote exception: overloaded: calls", *e);
        ++outcome.refused;
      } else {
        ++outcome.answered;
      }
    }
    return outcome;
  }

  void expectUnused(RpcLink& link, size_t imports = 0) {
    auto use = link.getUse();
    KJ_EXPECT(use.calls == 0 && use.heldBytes == 0 && use.imports == imports, use.calls,
              use.heldBytes, use.imports);
  }
};

kj::Vector<kj::Promise<void>> graftAll(Membrane::Client membrane) {
  kj::Vector<kj::Promise<void>> calls;
  for (kj::uint i = 0; i < CALLS; i++) {
    auto request = membrane.graftRequest();
    request.setSigner(kj::heap<Signer>());
    calls.add(request.send().ignoreResult());
  }
  return calls;
}

void expectSomeServed(Loop& l, Membrane::Client membrane) {
  for (int round = 0; round < 3; round++) {
    auto calls = graftAll(membrane);
    auto outcome = l.outcomeOf(calls);
    KJ_EXPECT(outcome.stuck == 0, outcome.stuck);
    KJ_EXPECT(outcome.answered >= LIMIT && outcome.refused > 0, outcome.answered, outcome.refused);
  }
}

KJ_TEST("a host that calls its caller back") {
  Loop l;
  auto pipe = kj::newTwoWayPipe();
  RpcLink link(kj::mv(pipe.ends[0]), kj::heap<CallsBack>(), l.timer, few());
  {
    capnp::TwoPartyClient a(*pipe.ends[1]);
    auto membrane = a.bootstrap().castAs<Membrane>();
    membrane.whenResolved().wait(l.waitScope);
    expectSomeServed(l, membrane);
    l.waitScope.poll();
    l.expectUnused(link);
  }
}

KJ_TEST("a chain through two cells and back: A calls B, which calls A, both through the host") {
  Loop l;
  auto toB = kj::newTwoWayPipe(), toA = kj::newTwoWayPipe();
  RpcLink linkB(kj::mv(toB.ends[0]), kj::heap<CallsBack>(), l.timer, few());
  capnp::TwoPartyClient b(*toB.ends[1], kj::heap<CallsBack>());
  auto held = b.bootstrap();  // a client speaks first
  {
    RpcLink linkA(kj::mv(toA.ends[0]), linkB.bootstrap(), l.timer, few());
    {
      capnp::TwoPartyClient a(*toA.ends[1]);
      auto membrane = a.bootstrap().castAs<Membrane>();
      expectSomeServed(l, membrane);
    }
    l.waitScope.poll();
    l.expectUnused(linkA);
    l.expectUnused(linkB, 1);  // what it offers, which the host hands on
  }
}

// Reads wait until it is closed.
class Gate final: public peer::ByteStream::Server {
 public:
  kj::Promise<void> read(ReadContext context) override { return opened.addBranch(); }
  kj::Promise<void> close(CloseContext) override {
    paf.fulfiller->fulfill();
    return kj::READY_NOW;
  }

 private:
  kj::PromiseFulfillerPair<void> paf = kj::newPromiseAndFulfiller<void>();
  kj::ForkedPromise<void> opened = paf.promise.fork();
};

KJ_TEST("waiters, and the call that frees them: it is refused too, until one of them is given up") {
  Loop l;
  auto pipe = kj::newTwoWayPipe();
  RpcLink link(kj::mv(pipe.ends[0]), kj::heap<Gate>(), l.timer, few());
  capnp::TwoPartyClient a(*pipe.ends[1]);
  auto gate = a.bootstrap().castAs<peer::ByteStream>();
  gate.whenResolved().wait(l.waitScope);
  kj::Vector<kj::Promise<void>> waiters;
  for (kj::uint i = 0; i < CALLS; i++) waiters.add(gate.readRequest().send().ignoreResult());
  auto outcome = l.outcomeOf(waiters);
  KJ_EXPECT(outcome.stuck == LIMIT && outcome.refused == CALLS - LIMIT, outcome.stuck,
            outcome.refused);
  auto free = [&]() {
    auto call = gate.closeRequest().send().ignoreResult();
    return l.outcomeOf(kj::arrayPtr(&call, 1));
  };
  KJ_EXPECT(free().refused == 1);
  waiters[0] = nullptr;
  l.waitScope.poll();
  KJ_EXPECT(free().answered == 1);
  KJ_EXPECT(l.outcomeOf(waiters.slice(1, LIMIT)).answered == LIMIT - 1);
  l.expectUnused(link);
}

}  // namespace
}  // namespace ww
