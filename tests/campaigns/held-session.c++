#include "held-session.h"

#include <kj/debug.h>
#include <time.h>

namespace ww {

double secondsNow() {
  return (kj::systemPreciseMonotonicClock().now() - kj::origin<kj::TimePoint>()) /
      kj::NANOSECONDS * 1e-9;
}

double processorSeconds() {
  timespec now;
  KJ_SYSCALL(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now));
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

kj::String us(double seconds) { return kj::str(int64_t(seconds * 1e6), " us"); }

struct Chain::Hop {
  explicit Hop(Membrane::Client before)
      : network(*pipe.ends[0], capnp::rpc::twoparty::Side::SERVER),
        server(capnp::makeRpcServer(network, kj::mv(before))), client(*pipe.ends[1]) {}

  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> server;
  capnp::TwoPartyClient client;
};

Chain::Chain(Fixture& f, kj::uint hops): membrane(nullptr) {
  auto pipe = kj::newTwoWayPipe();
  f.links.serveOwner(kj::mv(pipe.ends[1]));
  first = kj::heap<Client>(kj::mv(pipe.ends[0]));
  membrane = first->membrane;
  for (kj::uint i = 1; i < hops; i++) {
    auto& hop = *others.add(kj::heap<Hop>(kj::mv(membrane)));
    membrane = hop.client.bootstrap().castAs<Membrane>();
  }
}

Chain::~Chain() noexcept(false) {}

void Tally::add(kj::Promise<void> call) {
  ++waiting;
  calls.add(call.then([this]() {
    --waiting;
    ++answered;
  }, [this](kj::Exception&& e) {
    --waiting;
    if (e.getType() != kj::Exception::Type::FAILED || !e.getDescription().endsWith(stale)) {
      other = kj::str(e);
      return;
    }
    last = secondsNow();
    if (refused++ == 0) first = last;
  }).eagerlyEvaluate(nullptr));
}

void callMany(kj::WaitScope& waitScope, Tally& tally, size_t count,
              kj::FunctionParam<kj::Promise<void>(size_t)> call) {
  constexpr size_t AT_A_TIME = 500;
  for (size_t i = 0; i < count; i++) {
    tally.add(call(i));
    if (i % AT_A_TIME == AT_A_TIME - 1) waitScope.poll();
  }
  waitScope.poll();
}

HeldSession::HeldSession(Fixture& f, Membrane::Client membrane, kj::uint count)
    : f(f), graft(membrane.graftRequest().send().wait(f.node.waitScope)),
      poller(graft.getSession().getStatusPoller()),
      host(graft.getSession().getExtension().getHost()),
      executor(graft.getSession().getExtension().getExecutor()) {
  Tally tally(0, 0);
  callMany(f.node.waitScope, tally, count, [&](size_t) {
    return executor.cellsRequest().send().then([this](auto&& response) {
      held.add(response.getCells());
    });
  });
  KJ_ASSERT(held.size() == count, tally.other);
}

void HeldSession::callAll(Tally& tally) {
  callMany(f.node.waitScope, tally, held.size(), [&](size_t i) {
    return held[i].listRequest().send().ignoreResult();
  });
}

Advance::Advance(Fixture& f) {
  auto& watch = f.node.node.getHeadWatch();
  auto before = watch.seq();
  double began;
  f.node.heads.advance();
  do {
    stored = secondsNow();
    began = processorSeconds();
    f.node.waitScope.poll(1);
  } while (watch.seq() == before);
  // It was stored in that turn, which may have gone on to end leases.
  while (watch.leaseCount() > 0) f.node.waitScope.poll(1);
  busy = processorSeconds() - began;
  ended = secondsNow() - stored;
  f.node.waitScope.poll();
  settled = secondsNow() - stored;
}

}  // namespace ww
