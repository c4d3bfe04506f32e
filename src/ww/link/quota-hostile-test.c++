// Messages that cost their sender little and would cost the node much.
#include <malloc.h>
#include <membrane.capnp.h>
#include <stem.capnp.h>
#include "nonsense-test.h"
#include "quota-fixture-test.h"
#include <ww/link/peer-question.h>

namespace ww {
namespace {

constexpr kj::uint MANY = 8'000'000;

struct Attacker: RawPeer {
  using RawPeer::RawPeer;
  uint32_t boot = bootstrap();

  RpcLink& rpc() { return *KJ_ASSERT_NONNULL(link); }
  LinkUse use() {
    waitScope.poll();
    return rpc().getUse();
  }
  uint32_t callWith(kj::FunctionParam<void(capnp::rpc::Call::Builder)> fill) {
    return send([&](Message::Builder m, uint32_t id) {
      auto call = m.initCall();
      call.setQuestionId(id);
      call.initTarget().initPromisedAnswer().setQuestionId(boot);
      call.setInterfaceId(capnp::typeId<Host>());
      call.setMethodId(4);
      call.initParams().getContent().initAsAnyStruct(0, 0);
      fill(call);
    });
  }
  void disembargo(kj::FunctionParam<void(capnp::rpc::PromisedAnswer::Builder)> fill) {
    send([&](Message::Builder m, uint32_t id) {
      auto disembargo = m.initDisembargo();
      disembargo.getContext().setSenderLoopback(id);
      fill(disembargo.initTarget().initPromisedAnswer());
    });
  }
  // To what the node asks the first: for what the peer offers.
  void answerBootstrap(kj::FunctionParam<void(capnp::rpc::Return::Builder)> fill) {
    auto theirs = rpc().bootstrap();
    waitScope.poll();
    send([&](Message::Builder m, uint32_t) {
      auto ret = m.initReturn();
      ret.setAnswerId(0);
      fill(ret);
    });
    waitScope.poll();
  }
};

KJ_TEST("disembargoes that cannot be answered yet are few, or their link ends") {
  Attacker peer;
  auto waits = peer.callOn(peer.boot);
  auto ask = [&]() {
    peer.disembargo([&](auto target) { target.setQuestionId(waits); });
  };
  for (kj::uint i = 0; i < LIMITS.embargoes(); i++) ask();
  KJ_EXPECT(peer.use().embargoes == LIMITS.embargoes() && !peer.isOver());
  ask();
  peer.untilOver();
}

using Membrane = stem::Membrane<membrane::WetwareSession>;

// Gives back what it was given, as something else.
class Mirror final: public Membrane::Server {
 public:
  kj::Promise<void> graft(GraftContext context) override {
    auto session = context.getResults().initSession().initExtension();
    session.setHost(context.getParams().getSigner().castAs<Host>());
    return kj::READY_NOW;
  }
};

class Counted final: public Host::Server {
 public:
  explicit Counted(kj::uint& calls): calls(calls) {}
  kj::Promise<void> executor(ExecutorContext) override {
    ++calls;
    return kj::READY_NOW;
  }

 private:
  kj::uint& calls;
};

KJ_TEST("those of an honest peer are answered, however many there are over time") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  auto pipe = kj::newTwoWayPipe();
  LinkLimits limits;
  limits.quota.calls = 16;
  RpcLink link(kj::mv(pipe.ends[0]), kj::heap<Mirror>(), timer, limits);
  capnp::TwoPartyClient client(*pipe.ends[1]);
  auto mirror = client.bootstrap().castAs<Membrane>();
  kj::uint calls = 0;
  Host::Client own = kj::heap<Counted>(calls);
  for (int i = 0; i < 200; i++) {
    auto request = mirror.graftRequest();
    request.setSigner(own.castAs<stem::Signer>());
    auto graft = request.send();
    auto host = graft.getSession().getExtension().getHost();
    auto early = call(host);  // before it is known that it is one's own: so it goes there and back
    graft.wait(waitScope);
    auto late = call(host);
    early.wait(waitScope);
    late.wait(waitScope);
  }
  KJ_EXPECT(calls == 400 && link.getUse().embargoes == 0, calls, link.getUse().embargoes);
}

// The limit that ends the link of a peer that does this.
kj::String endOf(Over over, kj::FunctionParam<void(Attacker&)> attack) {
  Attacker peer(over);
  kj::String hit;
  peer.rpc().onHits([&](kj::StringPtr limit) { hit = kj::str(limit); });
  attack(peer);
  peer.untilOver();
  return hit;
}

KJ_TEST("a list of nothing, however long, is not walked, over a stream or a channel") {
  for (auto over: {Over::STREAM, Over::CHANNEL}) {
    auto lifting = endOf(over, [](Attacker& peer) {
      auto waits = peer.callOn(peer.boot);
      peer.disembargo([&](auto target) {
        target.setQuestionId(waits);
        initEmptyList(target, 0, MANY);
      });
    });
    auto giving = endOf(over, [](Attacker& peer) {
      peer.callWith([](auto call) { initEmptyList(call.getParams(), 1, MANY); });
    });
    auto stepping = endOf(over, [](Attacker& peer) {
      peer.callWith([](auto call) {
        initEmptyList(call.getTarget().getPromisedAnswer(), 0, MANY);
      });
    });
    for (auto& end: {&lifting, &giving, &stepping}) {
      KJ_EXPECT(*end == "message", *end, over == Over::CHANNEL);
    }
  }
  auto answering = endOf(Over::STREAM, [](Attacker& peer) {
    peer.answerBootstrap([](auto ret) { initEmptyList(ret.initResults(), 1, MANY); });
  });
  KJ_EXPECT(answering == "message", answering);
}

KJ_TEST("steps above the limit: a call is refused, of anything else the link ends") {
  auto far = [](capnp::rpc::PromisedAnswer::Builder answer) {
    initEmptyList(answer, 0, LIMITS.depth + 1);
  };
  {
    Attacker calling;
    calling.callWith([&](auto call) { far(call.getTarget().getPromisedAnswer()); });
    calling.callWith([&](auto call) {
      far(call.getParams().initCapTable(1)[0].initReceiverAnswer());
    });
    KJ_EXPECT(calling.use().calls == 3 && calling.calls == 0 && !calling.isOver());
  }
  {
    Attacker lifting;
    lifting.disembargo(far);
    lifting.untilOver();
  }
  {
    Attacker resolving;
    resolving.send([&](Message::Builder m, uint32_t) {
      m.initResolve().setPromiseId(7);
      far(m.getResolve().initCap().initReceiverAnswer());
    });
    resolving.untilOver();
  }
  Attacker answering;
  answering.answerBootstrap([&](auto ret) {
    far(ret.initResults().initCapTable(1)[0].initReceiverAnswer());
  });
  answering.untilOver();
}

KJ_TEST("a table above the limit: a call is refused, of an answer the link ends") {
  {
    Attacker calling;
    calling.callWith([](auto call) { call.getParams().initCapTable(LIMITS.exports + 1); });
    KJ_EXPECT(calling.use().calls == 2 && calling.calls == 0 && !calling.isOver());
  }
  Attacker answering;
  answering.answerBootstrap([](auto ret) {
    ret.initResults().initCapTable(LIMITS.exports + 1);
  });
  answering.untilOver();
}

KJ_TEST("what a call is given counts as what it takes, though there is no such thing") {
  Attacker peer;
  kj::uint const EACH = 8000;
  for (int i = 0; i < 100; i++) {
    peer.callWith([](auto call) {
      for (auto cap: call.getParams().initCapTable(EACH)) cap.setReceiverHosted(1'000'000);
    });
  }
  auto use = peer.use();
  KJ_EXPECT(peer.calls > 0 && peer.calls <= LIMITS.heldBytes / (EACH * 512), peer.calls);
  KJ_EXPECT(use.heldBytes > peer.calls * EACH * 512 && !peer.isOver());
}

KJ_TEST("a vine is a capability like any other, and is released") {
  Attacker peer;
  auto id = peer.callWith([](auto call) {
    auto caps = call.getParams().initCapTable(100);
    for (kj::uint i = 0; i < 100; i++) caps[i].initThirdPartyHosted().setVineId(i);
  });
  KJ_EXPECT(peer.use().imports == 100);
  peer.open();
  peer.finish(id);
  KJ_EXPECT(peer.use().imports == 0 && !peer.isOver());
}

KJ_TEST("ways into an answer count as what they take, for as long as its question stands") {
  Attacker peer;
  auto waits = peer.callOn(peer.boot);
  auto take = [&](kj::uint way) {
    peer.send([&](Message::Builder m, uint32_t) {  // of a promise that is none: it leaves nothing
      auto answer = m.initResolve().initCap().initReceiverAnswer();
      answer.setQuestionId(waits);
      for (auto step: answer.initTransform(LIMITS.depth)) step.setGetPointerField(way);
    });
  };
  auto before = peer.use().heldBytes;
  auto memory = mallinfo2().uordblks;
  constexpr kj::uint WAYS = 1000;
  for (int round = 0; round < 2; round++) {
    for (kj::uint i = 0; i < WAYS; i++) take(i);
  }
  auto held = peer.use().heldBytes - before;
  auto taken = mallinfo2().uordblks - memory;
  KJ_EXPECT(held == WAYS * PeerQuestion::PATH_BYTES && taken < held * 5 / 4, held, taken);
  kj::uint i = WAYS;
  for (; i < 60'000 && !peer.isOver(); i++) take(i);
  KJ_EXPECT(peer.isOver() && i > LIMITS.tolerance * 2000, i);
}

KJ_TEST("a call whose way into an answer would be too much is refused, and nothing ends") {
  LinkLimits limits;  // those of a client that has not grafted
  limits.quota.heldBytes = 1 << 20;
  limits.quota.tolerance = 1;
  for (bool isGiven: {false, true}) for (kj::uint size = 50'000; size < 66'000; size += 500) {
    Attacker peer;
    peer.rpc().setLimits(limits);
    auto waits = peer.callOn(peer.boot);
    for (uint16_t i = 0; i < 30; i++) {
      peer.callWith([&](auto call) {
        call.getParams().getContent().template initAs<capnp::Data>(size);
        auto target = call.getTarget().getPromisedAnswer();
        auto answer = isGiven ? call.getParams().initCapTable(1)[0].initReceiverAnswer() : target;
        answer.setQuestionId(waits);
        answer.initTransform(1)[0].setGetPointerField(i);
      });
    }
    auto held = peer.use().heldBytes;
    KJ_EXPECT(held <= 1 << 20 && !peer.isOver(), isGiven, size, held);
    KJ_EXPECT(held > (1 << 20) - 100'000, isGiven, size, held);
  }
}

// Answers each call when it is told to.
class OneByOne final: public Host::Server {
 public:
  explicit OneByOne(kj::Vector<kj::Own<kj::PromiseFulfiller<void>>>& waiting): waiting(waiting) {}
  kj::Promise<void> executor(ExecutorContext) override {
    auto paf = kj::newPromiseAndFulfiller<void>();
    waiting.add(kj::mv(paf.fulfiller));
    return kj::mv(paf.promise);
  }

 private:
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>>& waiting;
};

KJ_TEST("ways that calls were given count with them, when the question has gone") {
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiting;
  Attacker peer(Over::STREAM, kj::heap<OneByOne>(waiting));
  auto answers = peer.callOn(peer.boot);
  auto before = peer.use().heldBytes;
  auto memory = mallinfo2().uordblks;
  for (uint16_t way = 0; way < 1000;) {
    peer.callWith([&](auto call) {
      for (auto cap: call.getParams().initCapTable(100)) {
        auto answer = cap.initReceiverAnswer();
        answer.setQuestionId(answers);
        for (auto step: answer.initTransform(LIMITS.depth / 2)) step.setGetPointerField(way);
        ++way;
      }
    });
  }
  auto expectCounted = [&]() {
    auto held = peer.use().heldBytes - before;
    auto taken = mallinfo2().uordblks - memory;
    KJ_EXPECT(waiting.size() == 11 && taken < held * 5 / 4, held, taken);
  };
  expectCounted();
  waiting[0]->fulfill();
  peer.waitScope.poll();
  peer.finish(answers);
  expectCounted();
}

KJ_TEST("they go with the question") {
  Attacker peer;
  auto waits = peer.callOn(peer.boot);
  auto before = peer.use().heldBytes;
  for (uint16_t i = 0; i < 100; i++) {
    peer.callWith([&](auto call) {
      auto target = call.getTarget().getPromisedAnswer();
      target.setQuestionId(waits);
      target.initTransform(1)[0].setGetPointerField(i);
    });
  }
  KJ_EXPECT(peer.use().heldBytes > before + 100 * PeerQuestion::PATH_BYTES);
  peer.open();
  peer.waitScope.poll();
  for (auto id = waits; id < waits + 101; id++) peer.finish(id);
  KJ_EXPECT(peer.use().heldBytes <= before && peer.use().calls == 1, peer.use().heldBytes);
}

void failPromise(RawPeer& peer, uint32_t promise, kj::uint reason) {
  peer.send([&](Message::Builder m, uint32_t) {
    auto resolve = m.initResolve();
    resolve.setPromiseId(promise);
    resolve.initException().initReason(reason);
  });
}

KJ_TEST("the reason of a promise that failed counts while a call holds it, and is no novel") {
  Attacker peer;
  kj::Vector<uint32_t> calls;
  constexpr kj::uint REASON = 60'000;
  for (uint32_t i = 1; i <= 200; i++) {
    calls.add(peer.callOn(peer.boot, false, i));
    failPromise(peer, i, REASON);
  }
  KJ_EXPECT(peer.use().heldBytes > 200 * REASON && !peer.isOver());
  peer.open();
  for (auto call: calls) peer.finish(call);
  KJ_EXPECT(peer.use().heldBytes < REASON, peer.use().heldBytes);
  peer.callOn(peer.boot, false, 1u);
  failPromise(peer, 1, 70'000);
  peer.untilOver();
}

KJ_TEST("no more calls are taken while their reasons are held") {
  Attacker peer;
  for (uint32_t i = 0; i < 1000; i++) {
    peer.callOn(peer.boot, false, i);
    failPromise(peer, i, 60'000);
  }
  KJ_EXPECT(peer.use().heldBytes < LIMITS.heldBytes + 100'000 && !peer.isOver());
  KJ_EXPECT(peer.calls <= LIMITS.heldBytes / 60'000 + 1, peer.calls);
}

KJ_TEST("promises that all fail while one call has them end their link") {
  Attacker peer;
  peer.callWith([](auto call) {
    auto caps = call.getParams().initCapTable(5000);
    for (uint32_t i = 0; i < 5000; i++) caps[i].setSenderPromise(i);
  });
  uint32_t i = 0;
  for (; i < 5000 && !peer.isOver(); i++) failPromise(peer, i, 60'000);
  KJ_EXPECT(peer.isOver() && i <= LIMITS.tolerance * LIMITS.heldBytes / 60'000 + 1, i);
}

KJ_TEST("so does the reason of an answer, or of an end, that is one") {
  for (kj::uint size: {10'000u, 70'000u}) {
    Attacker peer;
    peer.answerBootstrap([&](auto ret) { ret.initException().initReason(size); });
    KJ_EXPECT(peer.isOver() == (size > 65'536), size);
  }
  Attacker peer;
  kj::String hit;
  peer.rpc().onHits([&](kj::StringPtr limit) { hit = kj::str(limit); });
  peer.send([](Message::Builder m, uint32_t) { m.initAbort().initReason(70'000); });
  peer.untilOver();
  KJ_EXPECT(hit == "message");
}

KJ_TEST("a message of a kind that is unknown is sent back if it is small, and ends the link else") {
  Attacker peer;
  auto provide = [&](kj::uint bytes) {
    peer.send([&](Message::Builder m, uint32_t id) {
      auto provide = m.initProvide();
      provide.setQuestionId(id);
      provide.getRecipient().initAs<capnp::Data>(bytes);
    });
    peer.waitScope.poll();
  };
  provide(500);
  KJ_EXPECT(!peer.isOver());
  provide(2000);
  peer.untilOver();
}

}  // namespace
}  // namespace ww
