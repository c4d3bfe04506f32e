#include <ww/link/rpc-link.h>

#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize-async.h>
#include <kj/test.h>
#include <peer.capnp.h>

namespace ww {
namespace {

using capnp::rpc::Message;
using peer::Host;

constexpr QuotaLimits LIMITS{};

// Answers every call with itself, once the gate is open.
class Gated final: public Host::Server {
 public:
  Gated(kj::ForkedPromise<void>& gate, kj::uint& calls): gate(gate), calls(calls) {}
  kj::Promise<void> executor(ExecutorContext context) override {
    ++calls;
    co_await gate.addBranch();
    context.getResults().setExecutor(thisCap().castAs<peer::Executor>());
  }

 private:
  kj::ForkedPromise<void>& gate;
  kj::uint& calls;
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::PromiseFulfillerPair<void> paf = kj::newPromiseAndFulfiller<void>();
  kj::ForkedPromise<void> gate = paf.promise.fork();
  kj::uint calls = 0;  // that arrived
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  kj::Maybe<kj::Own<RpcLink>> link =
      kj::heap<RpcLink>(kj::mv(pipe.ends[0]), kj::heap<Gated>(gate, calls));

  void open() { paf.fulfiller->fulfill(); }
};

// With Cap'n Proto's own client at the other end.
struct Peer: Fixture {
  capnp::TwoPartyVatNetwork network{*pipe.ends[1], capnp::rpc::twoparty::Side::CLIENT};
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> system = capnp::makeRpcClient(network);
  Host::Client host = bootstrap();

  Host::Client bootstrap() {
    capnp::MallocMessageBuilder message;
    auto vat = message.initRoot<capnp::rpc::twoparty::VatId>();
    vat.setSide(capnp::rpc::twoparty::Side::SERVER);
    return system.bootstrap(vat).castAs<Host>();
  }

  // How many of so many calls were answered; the others were refused with this reason.
  kj::uint answered(kj::ArrayPtr<kj::Promise<void>> calls, kj::StringPtr refusal) {
    kj::uint count = 0;
    for (auto& call: calls) {
      KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { call.wait(waitScope); })) {
        KJ_EXPECT(e->getType() == kj::Exception::Type::OVERLOADED, *e);
        KJ_EXPECT(e->getDescription() == kj::str("remote exception: ", refusal), *e);
      } else {
        ++count;
      }
    }
    return count;
  }
};

kj::Promise<void> call(Host::Client client) {
  return client.executorRequest().send().ignoreResult();
}

kj::Promise<void> large(Host::Client client, kj::uint bytes) {
  auto request = client.typelessRequest(capnp::typeId<Host>(), 4, nullptr, {});
  request.initAs<capnp::Data>(bytes);
  return request.send().ignoreResult();
}

Host::Client onAnswerOf(Host::Client client) {
  return client.executorRequest().send().getExecutor().castAs<Host>();
}

KJ_TEST("calls in flight above the limit are refused, and room comes back") {
  Peer peer;
  peer.host.whenResolved().wait(peer.waitScope);
  auto burst = [&](kj::uint count) {
    kj::Vector<kj::Promise<void>> calls;
    for (kj::uint i = 0; i < count; i++) calls.add(call(peer.host));
    peer.waitScope.poll();
    peer.open();
    return peer.answered(calls, "overloaded: calls");
  };
  KJ_EXPECT(burst(LIMITS.calls + 100) == LIMITS.calls);
  for (int i = 0; i < 5; i++) KJ_EXPECT(burst(LIMITS.calls) == LIMITS.calls);
}

KJ_TEST("calls that were given up or that failed leave nothing counted") {
  Peer peer;
  peer.host.whenResolved().wait(peer.waitScope);
  peer.open();
  for (int round = 0; round < 20; round++) {
    kj::Vector<kj::Promise<void>> calls;
    for (kj::uint i = 0; i < LIMITS.calls / 2; i++) {
      calls.add(call(peer.host));
      calls.add(call(onAnswerOf(peer.host)));
    }
    peer.waitScope.poll(round);
    calls.clear();
    peer.waitScope.poll();
    KJ_EXPECT_THROW(UNIMPLEMENTED, peer.host.idRequest().send().wait(peer.waitScope));
  }
  kj::Vector<kj::Promise<void>> calls;
  for (kj::uint i = 0; i < LIMITS.calls; i++) calls.add(call(peer.host));
  KJ_EXPECT(peer.answered(calls, "") == LIMITS.calls);
}

KJ_TEST("what unanswered calls hold is bounded in bytes too") {
  Peer peer;
  peer.host.whenResolved().wait(peer.waitScope);
  constexpr kj::uint BYTES = 5 << 20;
  kj::Vector<kj::Promise<void>> calls;
  for (int i = 0; i < 6; i++) calls.add(large(peer.host, BYTES));
  peer.waitScope.poll();
  peer.open();
  KJ_EXPECT(peer.answered(calls, "overloaded: heldBytes") == LIMITS.heldBytes / BYTES);
  call(peer.host).wait(peer.waitScope);
}

KJ_TEST("a call above 8 MiB is refused, but for one kind, one at a time") {
  Peer peer;
  peer.host.whenResolved().wait(peer.waitScope);
  auto refusal = [&](kj::uint bytes) {
    auto promise = large(peer.host, bytes).then([]() { return kj::str(); },
        [](kj::Exception&& e) { return kj::str(e.getDescription()); });
    return promise.poll(peer.waitScope) ? promise.wait(peer.waitScope) : kj::str("waits");
  };
  KJ_EXPECT(refusal((8 << 20) - 4096) == "waits");
  KJ_EXPECT(refusal(8 << 20) == "remote exception: overloaded: message");
  LinkLimits limits;
  limits.quota.largeInterface = capnp::typeId<Host>();
  limits.quota.largeMethod = 4;
  KJ_ASSERT_NONNULL(peer.link)->setLimits(limits);
  kj::Vector<kj::Promise<void>> calls;
  for (int i = 0; i < 3; i++) calls.add(large(peer.host, 40 << 20));
  for (int i = 0; i < 3; i++) calls.add(large(peer.host, 2 << 20));  // beside it
  peer.waitScope.poll();
  KJ_EXPECT(peer.calls == 1 + 1 + 3, peer.calls);
  peer.open();
  KJ_EXPECT(peer.answered(calls, "overloaded: message") == 4);
  large(peer.host, 40 << 20).wait(peer.waitScope);  // there is room again
}

KJ_TEST("a chain of pipelined calls is refused from the limit on, to its end") {
  Peer peer;
  peer.host.whenResolved().wait(peer.waitScope);
  kj::Vector<kj::Promise<void>> calls;
  auto last = peer.host;
  for (kj::uint i = 0; i < 2 * LIMITS.depth; i++) {
    auto promise = last.executorRequest().send();
    last = promise.getExecutor().castAs<Host>();
    calls.add(promise.ignoreResult());
  }
  peer.waitScope.poll();
  peer.open();
  // Each step counts twice: the call, and the field of its answer.
  KJ_EXPECT(peer.answered(calls, "overloaded: depth") == LIMITS.depth / 2 + 1);
  call(peer.host).wait(peer.waitScope);
}

// ---- a peer that speaks for itself

struct RawPeer: Fixture {
  uint32_t next = 0;
  kj::Promise<void> reading =
      pipe.ends[1]->readAllBytes().ignoreResult().eagerlyEvaluate([](kj::Exception&&) {});

  template <typename Fill>
  uint32_t send(Fill&& fill) {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<Message>(), next);
    capnp::writeMessage(*pipe.ends[1], message).wait(waitScope);
    return next++;
  }
  uint32_t bootstrap() {
    return send([](Message::Builder m, uint32_t id) { m.initBootstrap().setQuestionId(id); });
  }
  // `promise`: of ours, that it is given.
  uint32_t callOn(uint32_t question, bool quiet = false,
                  kj::Maybe<uint32_t> promise = nullptr) {
    return send([&](Message::Builder m, uint32_t id) {
      auto call = m.initCall();
      call.setQuestionId(id);
      auto target = call.initTarget().initPromisedAnswer();
      target.setQuestionId(question);
      if (question > 0) target.initTransform(1)[0].setGetPointerField(0);
      call.setInterfaceId(capnp::typeId<Host>());
      call.setMethodId(4);
      call.initParams().getContent().initAsAnyStruct(0, 0);
      KJ_IF_MAYBE(p, promise) call.getParams().initCapTable(1)[0].setSenderPromise(*p);
      call.setOnlyPromisePipeline(quiet);
    });
  }
  void finish(uint32_t question) {
    send([&](Message::Builder m, uint32_t) { m.initFinish().setQuestionId(question); });
  }
  bool isOver() { return KJ_ASSERT_NONNULL(link)->onDisconnect().poll(waitScope); }
  // Until the link is over.
  void untilOver() { KJ_ASSERT_NONNULL(link)->onDisconnect().wait(waitScope); }
};

// Calls with a promise of ours, the first of so many that each become the next.
void sendPromises(RawPeer& peer, kj::uint count, kj::Maybe<kj::uint> backTo = nullptr) {
  peer.callOn(peer.bootstrap(), false, 0u);
  for (kj::uint i = 0; i < count; i++) {
    peer.send([&](Message::Builder m, uint32_t) {
      auto resolve = m.initResolve();
      resolve.setPromiseId(i);
      resolve.initCap().setSenderPromise(i + 1);
    });
    peer.waitScope.poll();
  }
  KJ_IF_MAYBE(earlier, backTo) {
    peer.send([&](Message::Builder m, uint32_t) {
      auto resolve = m.initResolve();
      resolve.setPromiseId(count);
      resolve.initCap().setSenderPromise(*earlier);
    });
  }
}

KJ_TEST("promises that become promises without end end their link") {
  {
    RawPeer few;
    sendPromises(few, LIMITS.depth);
    KJ_EXPECT(!few.isOver());
  }
  RawPeer peer;
  sendPromises(peer, LIMITS.depth + 1);
  peer.untilOver();
}

KJ_TEST("promises that become each other end their link") {
  for (kj::uint count: {0u, 1u, 2u, 5u}) {
    for (kj::uint earlier = 0; earlier <= count; earlier++) {
      RawPeer peer;
      sendPromises(peer, count, earlier);
      peer.untilOver();
    }
  }
}

KJ_TEST("a call that is given its own answer, or that of one which waits for it, ends its link") {
  auto become = [](RawPeer& peer, uint32_t promise, uint32_t question) {
    peer.send([&](Message::Builder m, uint32_t) {
      auto resolve = m.initResolve();
      resolve.setPromiseId(promise);
      resolve.initCap().initReceiverAnswer().setQuestionId(question);
    });
  };
  {
    RawPeer peer;
    auto first = peer.callOn(peer.bootstrap(), false, 0u);
    become(peer, 0, first);
    peer.untilOver();
  }
  {
    RawPeer peer;
    auto bootstrap = peer.bootstrap();
    auto first = peer.callOn(bootstrap, false, 0u), second = peer.callOn(bootstrap, false, 1u);
    become(peer, 0, second);  // as an honest peer may
    KJ_EXPECT(!peer.isOver());
    become(peer, 1, first);
    peer.untilOver();
  }
}

// Messages that are well formed, in an order that is not.
struct Nonsense {
  uint64_t state;

  uint32_t below(uint32_t limit) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(state >> 33) % limit;
  }
  uint32_t id() { return below(20) == 0 ? kj::maxValue : below(8); }

  void target(capnp::rpc::MessageTarget::Builder to) {
    if (below(2) == 0) return to.setImportedCap(id());
    auto answer = to.initPromisedAnswer();
    answer.setQuestionId(id());
    auto steps = answer.initTransform(below(4));
    for (auto step: steps) step.setGetPointerField(below(3));
  }
  void cap(capnp::rpc::CapDescriptor::Builder to) {
    switch (below(5)) {
      case 0: return to.setSenderHosted(id());
      case 1: return to.setSenderPromise(id());
      case 2: return to.setReceiverHosted(id());
      case 3: return to.initReceiverAnswer().setQuestionId(id());
      default: return to.setNone();
    }
  }
  void payload(capnp::rpc::Payload::Builder to) {
    for (auto one: to.initCapTable(below(4))) cap(one);
    auto content = to.getContent().initAsAnyStruct(0, 1);
    (void)content;
  }
  void fill(Message::Builder m, uint32_t next) {
    // The last few are for questions that nobody asked, which ends the link: seldom.
    switch (below(below(12) == 0 ? 9 : 7)) {
      case 0: return m.initBootstrap().setQuestionId(below(4) == 0 ? id() : next);
      case 1: case 2: {
        auto call = m.initCall();
        call.setQuestionId(below(8) == 0 ? id() : next % 8);
        target(call.initTarget());
        call.setInterfaceId(capnp::typeId<Host>());
        call.setMethodId(below(6));
        call.setOnlyPromisePipeline(below(4) == 0);
        if (below(8) == 0) call.getSendResultsTo().setYourself();
        return payload(call.initParams());
      }
      case 3: {
        auto finish = m.initFinish();
        finish.setQuestionId(id());
        return finish.setReleaseResultCaps(below(2) == 0);
      }
      case 4: {
        auto release = m.initRelease();
        release.setId(id());
        return release.setReferenceCount(below(3));
      }
      case 5: {
        auto resolve = m.initResolve();
        resolve.setPromiseId(id());
        if (below(8) == 0) return resolve.initException().setReason("no");
        return cap(resolve.initCap());
      }
      case 6: {
        auto disembargo = m.initDisembargo();
        target(disembargo.initTarget());
        auto context = disembargo.getContext();
        if (below(2) == 0) return context.setSenderLoopback(id());
        return context.setReceiverLoopback(id());
      }
      case 7: {
        auto ret = m.initReturn();
        ret.setAnswerId(id());
        ret.setReleaseParamCaps(below(2) == 0);
        switch (below(4)) {
          case 0: return ret.setCanceled();
          case 1: return ret.initException().setReason("no");
          case 2: return ret.setTakeFromOtherQuestion(id());
          default: return payload(ret.initResults());
        }
      }
      default: return m.initUnimplemented().initFinish().setQuestionId(id());
    }
  }
};

KJ_TEST("messages in any order end their own link at most") {
  kj::uint over = 0;
  for (uint64_t seed = 1; seed <= 2000; seed++) {
    RawPeer peer;
    Nonsense nonsense{seed};
    auto end = kj::runCatchingExceptions([&]() {
      peer.bootstrap();
      auto count = 1 + nonsense.below(40);
      for (kj::uint i = 0; i < count; i++) {
        peer.send([&](Message::Builder m, uint32_t id) { nonsense.fill(m, id); });
        if (i == count / 2) peer.open();
        if (nonsense.below(3) == 0) peer.waitScope.poll();
      }
    });
    peer.waitScope.poll();
    over += peer.isOver();
    peer.link = nullptr;
    peer.waitScope.poll();  // what it leaves to the loop
  }
  KJ_EXPECT(over > 100 && over < 2000, over);
  Peer peer;
  peer.open();
  call(peer.host).wait(peer.waitScope);
}

KJ_TEST("an endless chain ends its link, and the node lives") {
  RawPeer peer;
  auto last = peer.callOn(peer.bootstrap());
  auto reason = kj::runCatchingExceptions([&]() {
    for (int i = 0; i < 30'000; i++) last = peer.callOn(last);
  });
  KJ_EXPECT(reason != nullptr, "nobody hung up");
  peer.untilOver();
}

KJ_TEST("a chain whose questions are finished as it grows is no way around") {
  for (bool quiet: {false, true}) {
    RawPeer peer;
    auto last = peer.callOn(peer.bootstrap());
    auto reason = kj::runCatchingExceptions([&]() {
      for (int i = 0; i < 30'000; i++) {
        auto now = peer.callOn(last, quiet);
        peer.finish(last);
        last = now;
      }
    });
    peer.link = nullptr;
    peer.waitScope.poll();
  }
}

KJ_TEST("a chain through parameters, each finished as it grows, is no way around either") {
  RawPeer peer;
  auto bootstrap = peer.bootstrap();
  auto last = peer.callOn(bootstrap, true);
  auto reason = kj::runCatchingExceptions([&]() {
    for (int i = 0; i < 30'000; i++) {
      auto now = peer.send([&](Message::Builder m, uint32_t id) {
        auto call = m.initCall();
        call.setQuestionId(id);
        call.initTarget().initPromisedAnswer().setQuestionId(bootstrap);
        call.setInterfaceId(capnp::typeId<Host>());
        call.setMethodId(4);
        auto params = call.initParams();
        params.getContent().initAsAnyStruct(0, 0);
        auto given = params.initCapTable(1)[0].initReceiverAnswer();
        given.setQuestionId(last);
        given.initTransform(1)[0].setGetPointerField(0);
        call.setOnlyPromisePipeline(true);
      });
      peer.finish(last);
      last = now;
    }
  });
  peer.link = nullptr;
  peer.waitScope.poll();
}

KJ_TEST("calls that nobody will hear of are bounded over a link's life") {
  RawPeer peer;
  auto bootstrap = peer.bootstrap();
  for (kj::uint i = 0; i < LIMITS.unheard(); i++) peer.finish(peer.callOn(bootstrap, true));
  peer.waitScope.poll();
  auto before = peer.calls;
  for (int i = 0; i < 10; i++) peer.finish(peer.callOn(bootstrap, true));
  peer.waitScope.poll();
  KJ_EXPECT(before == LIMITS.unheard() && peer.calls == before);
}

KJ_TEST("answers that are never finished are bounded") {
  RawPeer peer;
  LinkLimits limits;
  limits.quota.calls = 5;
  limits.quota.answers = 10;
  KJ_ASSERT_NONNULL(peer.link)->setLimits(limits);
  for (int i = 0; i < 100; i++) peer.finish(peer.bootstrap());  // what is finished leaves no trace
  for (kj::uint i = 0; i < 10 + limits.quota.refused(); i++) {
    peer.bootstrap();
    peer.waitScope.poll();  // and is answered
  }
  KJ_EXPECT(!peer.isOver());
  peer.bootstrap();
  peer.untilOver();
}

KJ_TEST("a peer that reads nothing of what it is told is left") {
  RawPeer peer;
  LinkLimits limits;
  limits.unsentBytes = 1 << 20;
  peer.reading = nullptr;
  KJ_ASSERT_NONNULL(peer.link)->setLimits(limits);
  auto reason = kj::runCatchingExceptions([&]() {
    for (int i = 0; i < 100'000; i++) peer.finish(peer.bootstrap());
  });
  KJ_EXPECT(reason != nullptr, "nobody hung up");
}

KJ_TEST("a question with the number of one that stands ends the link") {
  RawPeer peer;
  auto bootstrap = peer.bootstrap();
  peer.callOn(bootstrap);
  --peer.next;
  peer.callOn(bootstrap);
  peer.untilOver();
}

}  // namespace
}  // namespace ww
