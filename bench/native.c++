// The ceilings: the same work without WebAssembly, membranes or limits.
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <peer.capnp.h>
#include <ww/link/quota-network.h>
#include "bench.h"

namespace ww::bench {
namespace {

class Echo final: public peer::Executor::Server {
 public:
  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setResponse(context.getParams().getMessage());
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

double nativeEcho(kj::WaitScope& waitScope, kj::uint calls, kj::uint inFlight, size_t bytes,
                  Quota quota) {
  auto pipe = kj::newTwoWayPipe();
  capnp::TwoPartyVatNetwork network(*pipe.ends[0], capnp::rpc::twoparty::Side::SERVER);
  Unwatched watcher;
  QuotaNetwork counted(network, {}, watcher);
  capnp::TwoPartyVatNetworkBase& used = quota == Quota::ON ? counted : asBase(network);
  auto server = capnp::makeRpcServer(used, kj::heap<Echo>());
  capnp::TwoPartyClient client(*pipe.ends[1]);
  return echoSeconds(waitScope, client.bootstrap().castAs<peer::Executor>(), calls, inFlight,
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

double nativePipe(kj::WaitScope& waitScope, size_t bytes) {
  constexpr size_t PIECE = 64 * 1024;
  auto pipe = kj::newOneWayPipe();
  auto from = kj::heapArray<kj::byte>(PIECE), to = kj::heapArray<kj::byte>(PIECE);
  memset(from.begin(), 'x', PIECE);
  auto writer = [&]() -> kj::Promise<void> {
    for (size_t done = 0; done < bytes; done += PIECE)
      co_await pipe.out->write(from.begin(), PIECE);
    pipe.out = nullptr;
  };
  auto reader = [&]() -> kj::Promise<void> {
    while (co_await pipe.in->tryRead(to.begin(), 1, PIECE) > 0) {}
  };
  double seconds = timed([&]() {
    auto writing = writer();
    reader().wait(waitScope);
    writing.wait(waitScope);
  });
  return bytes / seconds;
}

}  // namespace ww::bench
