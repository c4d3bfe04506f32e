#pragma once
// A link under quotas, with a stock client at its other end or a peer that speaks for itself.

#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize-async.h>
#include <kj/test.h>
#include <peer.capnp.h>
#include "wire-test.h"

namespace ww {

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
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  Wire wire;
  kj::Maybe<kj::Own<RpcLink>> link;

  explicit Fixture(Over over = Over::STREAM, kj::Own<capnp::Capability::Server> server = {})
      : wire(over) {
    if (server.get() == nullptr) server = kj::heap<Gated>(gate, calls);
    link = wire.makeLink(kj::mv(server), timer);
  }
  void open() { paf.fulfiller->fulfill(); }
};

// With Cap'n Proto's own client at the other end.
struct Peer: Fixture {
  capnp::TwoPartyVatNetwork network{*wire, capnp::rpc::twoparty::Side::CLIENT};
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

inline kj::Promise<void> call(Host::Client client) {
  return client.executorRequest().send().ignoreResult();
}

inline kj::Promise<void> large(Host::Client client, kj::uint bytes) {
  auto request = client.typelessRequest(capnp::typeId<Host>(), 4, nullptr, {});
  request.initAs<capnp::Data>(bytes);
  return request.send().ignoreResult();
}

inline Host::Client onAnswerOf(Host::Client client) {
  return client.executorRequest().send().getExecutor().castAs<Host>();
}

// ---- a peer that speaks for itself

struct RawPeer: Fixture {
  using Fixture::Fixture;
  uint32_t next = 0;
  kj::Promise<void> reading =
      wire->readAllBytes().ignoreResult().eagerlyEvaluate([](kj::Exception&&) {});

  template <typename Fill>
  uint32_t send(Fill&& fill) {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<Message>(), next);
    capnp::writeMessage(*wire, message).wait(waitScope);
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

}  // namespace ww
