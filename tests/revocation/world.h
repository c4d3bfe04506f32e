#pragma once
// A node's membrane with a server behind it that can do all that a capability can do, and a guest
// that reaches it locally or over a link. Both on one event loop, whose turns can be counted.

#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>
#include <probe.capnp.h>
#include <ww/epoch/session-bound.h>
#include <ww/link/memory-channel.h>
#include <ww/link/rpc-link.h>
#include <ww/link/two-party-network.h>
#include <ww/membrane/membrane-server.h>

namespace ww {

using Membrane = stem::Membrane<membrane::WetwareSession>;
using probe::Probe;

// Shut until somebody opens it.
class Gate {
 public:
  Gate(): Gate(kj::newPromiseAndFulfiller<void>()) {}
  void open() { fulfiller->fulfill(); }
  kj::Promise<void> pass() { return passed.addBranch(); }

 private:
  explicit Gate(kj::PromiseFulfillerPair<void> paf)
      : fulfiller(kj::mv(paf.fulfiller)), passed(paf.promise.fork()) {}
  kj::Own<kj::PromiseFulfiller<void>> fulfiller;
  kj::ForkedPromise<void> passed;
};

// What happened on the node's side of all sessions.
struct Trace {
  kj::uint effects = 0;
  kj::uint bodies = 0;  // alive
  Gate gate;
  kj::Maybe<Probe::Client> kept;
};

class Alive {
 public:
  explicit Alive(Trace& trace): trace(trace) { ++trace.bodies; }
  ~Alive() { --trace.bodies; }
  KJ_DISALLOW_COPY_AND_MOVE(Alive);

 private:
  Trace& trace;
};

// The probe's methods on either side; the node's asks its lease before its second effect.
template <typename Base>
class ProbeBody: public Base {
 public:
  template <typename... Params>
  explicit ProbeBody(Trace& trace, Params&&... params)
      : Base(kj::fwd<Params>(params)...), trace(trace) {}

  kj::Promise<void> touch(Probe::Server::TouchContext) override {
    Alive alive(trace);
    ++trace.effects;
    for (int i = 0; i < 3; i++) co_await kj::evalLater([]() {});
    finish();
  }

 protected:
  virtual void finish() { ++trace.effects; }
  Trace& trace;
};

class NodeProbe final: public ProbeBody<SessionBound<Probe>> {
 public:
  NodeProbe(Lease& lease, Trace& trace, HeadWatch& watch): ProbeBody(trace, lease), watch(watch) {}

  kj::Promise<void> echo(EchoContext) override { return kj::READY_NOW; }
  kj::Promise<void> park(ParkContext) override {
    Alive alive(trace);
    ++trace.effects;
    co_await trace.gate.pass();
    finish();
  }
  kj::Promise<void> same(SameContext context) override {
    context.getResults().setProbe(thisCap());
    return kj::READY_NOW;
  }
  kj::Promise<void> other(OtherContext context) override {
    context.getResults().setProbe(kj::heap<NodeProbe>(*lease, trace, watch));
    return kj::READY_NOW;
  }
  kj::Promise<void> late(LateContext context) override {
    Alive alive(trace);
    co_await trace.gate.pass();
    context.getResults().setProbe(thisCap());
  }
  kj::Promise<void> keep(KeepContext context) override {
    trace.kept = context.getParams().getProbe();
    return kj::READY_NOW;
  }
  kj::Promise<void> kept(KeptContext context) override {
    context.getResults().setProbe(KJ_ASSERT_NONNULL(trace.kept));
    return kj::READY_NOW;
  }
  kj::Promise<void> callBack(CallBackContext context) override {
    Alive alive(trace);
    auto guest = context.getParams().getProbe();
    co_await kj::evalLater([]() {});
    lease->check();
    co_await guest.touchRequest().send().ignoreResult();
  }
  kj::Promise<void> moveHead(MoveHeadContext) override {
    ++trace.effects;
    co_await kj::evalLater([]() {});
    watch.store({watch.seq() + 1, nullptr, 0});
    announced = watch.announce().eagerlyEvaluate(nullptr);
    co_await kj::evalLater([]() {});
    finish();
  }

 private:
  void finish() override {
    lease->check();
    ++trace.effects;
  }

  HeadWatch& watch;
  kj::Promise<void> announced = nullptr;
};

class NodeHost final: public SessionBound<peer::Host> {
 public:
  NodeHost(Lease& lease, peer::Executor::Client executor)
      : SessionBound(lease), client(kj::mv(executor)) {}
  kj::Promise<void> executor(ExecutorContext context) override {
    context.getResults().setExecutor(client);
    return kj::READY_NOW;
  }

 private:
  peer::Executor::Client client;
};

// On the guest's own side: no session, no lease.
class GuestProbe final: public ProbeBody<Probe::Server> {
 public:
  explicit GuestProbe(Trace& trace): ProbeBody(trace) {}
};

// LOCAL: in this process. TWO_PARTY: over a stream, with Cap'n Proto's own network at both ends.
// CHANNEL: over a channel as a cell's link is, with our network at both ends.
enum class Reach { LOCAL, TWO_PARTY, CHANNEL };

inline kj::StringPtr name(Reach reach) {
  switch (reach) {
    case Reach::LOCAL: return "local";
    case Reach::TWO_PARTY: return "two-party";
    case Reach::CHANNEL: return "channel";
  }
  KJ_UNREACHABLE;
}

struct World {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  StaticHeadSource source;
  HeadWatch watch{source};
  kj::Own<GraftGate> gate = kj::refcounted<GraftGate>(watch);
  OpenGraftPolicy everybody;
  Trace trace;
  bool offering = true;
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  MemoryPipe toNode, toGuest;
  kj::Maybe<RpcLink> link;
  kj::Maybe<capnp::TwoPartyVatNetwork> network;
  kj::Maybe<TwoPartyNetwork> ownNetwork;
  kj::Maybe<capnp::RpcSystem<capnp::rpc::twoparty::VatId>> system;
  Membrane::Client membrane;  // as the guest has it

  explicit World(Reach reach): membrane(makeMembrane()) {
    if (reach != Reach::LOCAL) membrane = connect(kj::mv(membrane), reach).castAs<Membrane>();
  }

  // `bootstrap` as the guest has it, at the other end of the link. Once.
  capnp::Capability::Client connect(capnp::Capability::Client bootstrap,
                                    Reach reach = Reach::TWO_PARTY) {
    constexpr auto CLIENT = capnp::rpc::twoparty::Side::CLIENT;
    if (reach == Reach::CHANNEL) {
      auto ours = kj::heap<MemoryChannel>(toNode, toGuest, kj::maxValue);
      auto theirs = kj::heap<MemoryChannel>(toGuest, toNode, kj::maxValue);
      ours->setPeer(*theirs);
      theirs->setPeer(*ours);
      link.emplace(kj::mv(ours), kj::mv(bootstrap), timer);
      system.emplace(capnp::makeRpcClient(ownNetwork.emplace(kj::mv(theirs), CLIENT)));
    } else {
      link.emplace(kj::mv(pipe.ends[0]), kj::mv(bootstrap), timer);
      system.emplace(capnp::makeRpcClient(network.emplace(*pipe.ends[1], CLIENT)));
    }
    auto& rpc = KJ_ASSERT_NONNULL(system);
    capnp::MallocMessageBuilder message;
    auto vat = message.initRoot<capnp::rpc::twoparty::VatId>();
    vat.setSide(capnp::rpc::twoparty::Side::SERVER);
    return rpc.bootstrap(vat);
  }

  membrane::WetwareSession::Reader graft(kj::Maybe<capnp::Response<Membrane::GraftResults>>& hold) {
    return hold.emplace(membrane.graftRequest().send().wait(waitScope))
        .getSession().getExtension();
  }
  Probe::Client graftProbe() {
    kj::Maybe<capnp::Response<Membrane::GraftResults>> response;
    return graft(response).getExecutor().castAs<Probe>();
  }

  void moveHead() { watch.store({watch.seq() + 1, nullptr, 0}); }
  void announce() { watch.announce().wait(waitScope); }
  void settle() { waitScope.poll(); }

 private:
  Membrane::Client makeMembrane() {
    return kj::heap<MembraneServer>(*gate, everybody,
        [this](Lease& lease, kj::Maybe<const AllowedKey&>) {
      KJ_ASSERT(offering);
      peer::Executor::Client probe = kj::heap<NodeProbe>(lease, trace, watch);
      return SessionOffer{kj::heap<NodeHost>(lease, probe), probe};
    });
  }
};

}  // namespace ww
