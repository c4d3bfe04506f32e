// The ceilings: the same work without WebAssembly, membranes or limits.
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <ww/link/memory-channel.h>
#include <ww/link/quota-network.h>
#include <ww/link/two-party-network.h>
#include "bench.h"

namespace ww::bench {
namespace {

using capnp::rpc::twoparty::Side;

// As src/ww/cell/executor-server.c++ answers.
class Echo final: public peer::Executor::Server {
 public:
  kj::Promise<void> echo(EchoContext context) override {
    constexpr auto PREFIX = "Echo: "_kj;
    auto message = context.getParams().getMessage();
    auto size = PREFIX.size() + message.size();
    auto response = context.getResults(capnp::MessageSize{4 + size / sizeof(capnp::word), 0})
        .initResponse(size);
    memcpy(response.begin(), PREFIX.begin(), PREFIX.size());
    memcpy(response.begin() + PREFIX.size(), message.begin(), message.size());
    return kj::READY_NOW;
  }
};

struct Callers {
  peer::Executor::Client executor;
  kj::String message;
  kj::uint left;

  kj::Promise<void> caller() {
    while (left > 0) {
      --left;
      auto request = executor.echoRequest();
      request.setMessage(message);
      co_await request.send();
    }
  }
};

class Unwatched final: public QuotaNetwork::Watcher {
  bool mayGoOn() override { return true; }
  void heardLast() override {}
  void onHit(kj::StringPtr) override {}
};

capnp::TwoPartyVatNetworkBase& asBase(capnp::TwoPartyVatNetworkBase& network) { return network; }

}  // namespace

peer::Executor::Client makeEcho() { return kj::heap<Echo>(); }

double nativeEcho(kj::WaitScope& waitScope, kj::uint calls, kj::uint inFlight, size_t bytes,
                  Quota quota) {
  auto pipe = kj::newTwoWayPipe();
  capnp::TwoPartyVatNetwork network(*pipe.ends[0], Side::SERVER);
  Unwatched watcher;
  QuotaNetwork counted(network, {}, watcher);
  capnp::TwoPartyVatNetworkBase& used = quota == Quota::ON ? counted : asBase(network);
  auto server = capnp::makeRpcServer(used, makeEcho());
  capnp::TwoPartyClient client(*pipe.ends[1]);
  return echoSeconds(waitScope, client.bootstrap().castAs<peer::Executor>(), calls, inFlight,
                     bytes);
}

double ownEcho(kj::WaitScope& waitScope, kj::uint calls, kj::uint inFlight, size_t bytes) {
  MemoryPipe up, down;
  auto here = kj::heap<MemoryChannel>(down, up, up.capacity);
  auto there = kj::heap<MemoryChannel>(up, down, up.capacity);
  here->setPeer(*there);
  there->setPeer(*here);
  TwoPartyNetwork serving(kj::mv(there), Side::SERVER), calling(kj::mv(here), Side::CLIENT);
  auto server = capnp::makeRpcServer(serving, makeEcho());
  auto client = capnp::makeRpcClient(calling);
  capnp::MallocMessageBuilder message(4);
  auto vat = message.initRoot<capnp::rpc::twoparty::VatId>();
  vat.setSide(Side::SERVER);
  return echoSeconds(waitScope, client.bootstrap(vat).castAs<peer::Executor>(), calls, inFlight,
                     bytes);
}

double echoSeconds(kj::WaitScope& waitScope, peer::Executor::Client executor, kj::uint calls,
                   kj::uint inFlight, size_t bytes) {
  auto message = kj::heapString(bytes);
  memset(message.begin(), 'x', bytes);
  Callers callers{kj::mv(executor), kj::mv(message), calls};
  return timed([&]() {
    kj::Vector<kj::Promise<void>> all;
    for (kj::uint i = 0; i < inFlight; i++) all.add(callers.caller());
    kj::joinPromises(all.releaseAsArray()).wait(waitScope);
  }) / calls;
}

void benchQuota(Report& report) {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  for (kj::uint inFlight: {1, 64}) {
    Rounds rounds;
    for (int i = 0; i < 3 * TRIALS; i++) {
      rounds.turn([&]() { return nativeEcho(waitScope, 40000, inFlight, 16, Quota::ON); },
                  [&]() { return nativeEcho(waitScope, 40000, inFlight, 16); });
    }
    report.add(rate(kj::str("native echo under quotas, ", inFlight, " in flight, 16 B"),
                    rounds.median(0, 1), "without them"));
  }
}

}  // namespace ww::bench
