// What a session costs: the policy that each call crosses, and the lease that each body hangs on.
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <kj/vector.h>
#include <ww/epoch/head-watch.h>
#include <ww/epoch/session-bound.h>
#include <ww/link/rpc-link.h>
#include <ww/membrane/epoch-policy.h>
#include "bench.h"

namespace ww::bench {
namespace {

// The same body with a session around it and without.
template <typename Base>
class Echo final: public Base {
 public:
  using Base::Base;
  kj::Promise<void> echo(typename Base::EchoContext context) override {
    context.getResults().setResponse(context.getParams().getMessage());
    return kj::READY_NOW;
  }
};

// As SessionBound does with a body that is done: so that both sides save it.
struct Bare: public peer::Executor::Server {
  DispatchCallResult dispatchCall(
      uint64_t interfaceId, uint16_t methodId,
      capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) override {
    auto result = peer::Executor::Server::dispatchCall(interfaceId, methodId, context);
    result.allowCancellation = true;
    return result;
  }
};

struct World {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  StaticHeadSource source;
  HeadWatch heads{source};
};

// Seconds a call over a link as a client's is.
double linkEcho(World& world, peer::Executor::Client served, kj::uint calls, kj::uint inFlight) {
  auto pipe = kj::newTwoWayPipe();
  RpcLink link(kj::mv(pipe.ends[0]), kj::mv(served), world.timer);
  capnp::TwoPartyClient client(*pipe.ends[1]);
  return echoSeconds(world.waitScope, client.bootstrap().castAs<peer::Executor>(), calls, inFlight,
                     16);
}

}  // namespace

void benchMembrane(Report& report) {
  World world;
  constexpr kj::uint CALLS = 40'000;
  for (kj::uint inFlight: {1, 64}) {
    Rounds rounds;
    for (int i = 0; i < 3 * TRIALS; i++) {
      auto lease = world.heads.issue();
      rounds.turn([&]() {
        return linkEcho(world, bindToLease<peer::Executor>(
            *lease, kj::heap<Echo<SessionBound<peer::Executor>>>(*lease)), CALLS, inFlight);
      }, [&]() {
        return linkEcho(world, kj::heap<Echo<Bare>>(), CALLS, inFlight);
      });
    }
    report.add(rate(kj::str("echo through a session, ", inFlight, " in flight, 16 B"),
                    rounds.median(0, 1), "the same link without one", {Target::Of::PART, 0.91}));
  }
}

}  // namespace ww::bench
