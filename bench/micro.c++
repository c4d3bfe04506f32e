// What single layers cost, by Google Benchmark: a call by way of more and more of them, and what
// does not depend on a call. Each family's first stands beside the others.
#include <benchmark/benchmark.h>
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>
#include <malloc.h>
#include <ww/epoch/head-watch.h>
#include <ww/epoch/session-bound.h>
#include <ww/ffi/component.h>
#include <ww/link/memory-channel.h>
#include <ww/link/rpc-link.h>
#include <ww/link/two-party-network.h>
#include <ww/membrane/epoch-policy.h>
#include <atomic>
#include "bench.h"

namespace ww::bench {
namespace {

using benchmark::State;
using capnp::rpc::twoparty::Side;

struct World {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  StaticHeadSource source;
  HeadWatch heads{source};
  kj::Own<Lease> lease = heads.issue();
};

void call(World& world, State& state, peer::Executor::Client executor) {
  for (auto _: state) {
    auto request = executor.echoRequest();
    request.setMessage("0123456789abcdef");
    benchmark::DoNotOptimize(request.send().wait(world.waitScope).getResponse().size());
  }
}

class Echo final: public SessionBound<peer::Executor> {
 public:
  using SessionBound::SessionBound;
  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setResponse(context.getParams().getMessage());
    return kj::READY_NOW;
  }
};

// ------------------------------------------------------------------------------------ a call

void callLocal(State& state) {
  World world;
  call(world, state, makeEcho());
}

void callInSession(State& state) {
  World world;
  call(world, state, bindToLease<peer::Executor>(*world.lease, kj::heap<Echo>(*world.lease)));
}

void linkStock(State& state) {
  World world;
  auto pipe = kj::newTwoWayPipe();
  capnp::TwoPartyClient server(*pipe.ends[0], makeEcho(), Side::SERVER);
  capnp::TwoPartyClient client(*pipe.ends[1]);
  call(world, state, client.bootstrap().castAs<peer::Executor>());
}

// Two ends of our network; what serves is made of the one.
template <typename Serve>
void linkOurs(State& state, Serve&& serve) {
  World world;
  MemoryPipe up, down;
  auto here = kj::heap<MemoryChannel>(down, up, up.capacity);
  auto there = kj::heap<MemoryChannel>(up, down, up.capacity);
  here->setPeer(*there);
  there->setPeer(*here);
  auto serving = serve(world, kj::mv(there));
  TwoPartyNetwork calling(kj::mv(here), Side::CLIENT);
  auto client = capnp::makeRpcClient(calling);
  capnp::MallocMessageBuilder message(4);
  auto vat = message.initRoot<capnp::rpc::twoparty::VatId>();
  vat.setSide(Side::SERVER);
  call(world, state, client.bootstrap(vat).castAs<peer::Executor>());
}

struct Bare {
  explicit Bare(kj::Own<MemoryChannel> channel)
      : network(kj::mv(channel), Side::SERVER), rpc(capnp::makeRpcServer(network, makeEcho())) {}
  TwoPartyNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
};

void linkBare(State& state) {
  linkOurs(state, [](World&, kj::Own<MemoryChannel> channel) {
    return kj::heap<Bare>(kj::mv(channel));
  });
}

void linkCounted(State& state) {
  linkOurs(state, [](World& world, kj::Own<MemoryChannel> channel) {
    return kj::heap<RpcLink>(kj::mv(channel), makeEcho(), world.timer);
  });
}

void linkInSession(State& state) {
  linkOurs(state, [](World& world, kj::Own<MemoryChannel> channel) {
    return kj::heap<RpcLink>(kj::mv(channel), bindToLease<peer::Executor>(
        *world.lease, kj::heap<Echo>(*world.lease)), world.timer);
  });
}

BENCHMARK(callLocal)->Name("a call within the loop/alone");
BENCHMARK(callInSession)->Name("a call within the loop/through a session");
BENCHMARK(linkStock)->Name("a call over a link/stock, a pipe of KJ's");
BENCHMARK(linkBare)->Name("a call over a link/our network, in memory");
BENCHMARK(linkCounted)->Name("a call over a link/the same under quotas");
BENCHMARK(linkInSession)->Name("a call over a link/the same through a session");

// ------------------------------------------------------------------------------------ no call

void copy64K(State& state) {
  auto from = kj::heapArray<kj::byte>(64 * 1024), to = kj::heapArray<kj::byte>(64 * 1024);
  memset(from.begin(), 'x', from.size());
  for (auto _: state) {
    memcpy(to.begin(), from.begin(), from.size());
    benchmark::ClobberMemory();
  }
}

void hash64K(State& state) {
  auto bytes = kj::heapArray<kj::byte>(64 * 1024);
  memset(bytes.begin(), 'x', bytes.size());
  for (auto _: state) benchmark::DoNotOptimize(ffi::contentId(bytes));
}

void checksum64K(State& state) {
  auto bytes = kj::heapArray<kj::byte>(64 * 1024);
  memset(bytes.begin(), 'x', bytes.size());
  for (auto _: state) benchmark::DoNotOptimize(ffi::checksum(bytes));
}

BENCHMARK(copy64K)->Name("64 KiB/copied");
BENCHMARK(checksum64K)->Name("64 KiB/their checksum");
BENCHMARK(hash64K)->Name("64 KiB/their content hash");

void atomicLoad(State& state) {
  std::atomic<uint64_t> seq = 0;
  for (auto _: state) benchmark::DoNotOptimize(seq.load(std::memory_order_acquire));
}

void leaseCheck(State& state) {
  World world;
  for (auto _: state) {
    world.lease->check();
    benchmark::ClobberMemory();
  }
}

BENCHMARK(atomicLoad)->Name("is the epoch current?/an atomic load");
BENCHMARK(leaseCheck)->Name("is the epoch current?/a lease's check");

}  // namespace
}  // namespace ww::bench

int main(int argc, char** argv) {
  // As the program itself has it: see src/ww/cli/main.c++.
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
