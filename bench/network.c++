// Node to node: a server in a process of its own, and a client in this one, over libp2p (TCP,
// Noise, Yamux) on loopback. Ceilings: the same RPC over plain TCP, and the same streams with Rust
// at both ends (rust/swarm-bench).
//
//   ww-bench-network RUST_BENCH [JSON]   every figure
//   ww-bench-network serve               the server: says its addresses, ends with its input
#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>
#include <math.h>
#include <peer.capnp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <ww/link/rpc-link.h>
#include <ww/net/libp2p-swarm.h>
#include "bench.h"
#include "child.h"
#include "proc.h"

namespace ww::bench {
namespace {

constexpr kj::StringPtr RPC = "/ww/bench/rpc"_kj;
constexpr kj::StringPtr SINK = "/ww/bench/sink"_kj;
constexpr kj::StringPtr BACK = "/ww/bench/back"_kj;  // what comes goes back
constexpr size_t MESSAGE = 128;
constexpr size_t PIECE = 64 * 1024;
constexpr size_t BULK = size_t(256) << 20;
constexpr int BULKS = 3;  // a round, as Rust has; the best of them counts
constexpr int ROUNDS = 9;
constexpr kj::uint DIALS = 1000;
constexpr kj::uint HELD = 40;

class Echo final: public peer::Executor::Server {
 public:
  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setResponse(context.getParams().getMessage());
    return kj::READY_NOW;
  }
};

Multiaddr address(kj::StringPtr text) {
  auto parsed = parseMultiaddrText(text);
  KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) KJ_FAIL_REQUIRE(text, *problem);
  return kj::mv(parsed.get<Multiaddr>());
}

kj::Own<Libp2pSwarm> makeSwarm(kj::AsyncIoContext& io, Logger& logger, bool listens) {
  Libp2pOptions options;
  if (listens) {
    auto listen = kj::heapArrayBuilder<Multiaddr>(1);
    listen.add(address("/ip4/127.0.0.1/tcp/0"));
    options.listen = listen.finish();
  }
  options.protocols = kj::heapArray<kj::StringPtr>({RPC, SINK, BACK});
  options.mdns = false;
  return kj::heap<Libp2pSwarm>(Identity::generate(), kj::mv(options), io.provider->getTimer(),
                               io.unixEventPort, logger);
}

// ------------------------------------------------------------------------------------- server

kj::Promise<void> drain(kj::Own<kj::AsyncIoStream> stream) {
  auto buffer = kj::heapArray<kj::byte>(PIECE);
  while (co_await stream->tryRead(buffer.begin(), 1, PIECE) > 0) {}
  co_await stream->write("x", 1);
  stream->shutdownWrite();
}

kj::Promise<void> sendBack(kj::Own<kj::AsyncIoStream> stream) {
  co_await stream->pumpTo(*stream);
}

kj::Promise<void> serveRpc(kj::Own<kj::AsyncIoStream> stream, kj::Timer& timer) {
  RpcLink link(kj::mv(stream), kj::heap<Echo>(), timer);
  co_await link.onDisconnect();
}

kj::Promise<void> acceptAll(kj::Own<kj::ConnectionReceiver> receiver, kj::Timer& timer) {
  for (;;) serveRpc(co_await receiver->accept(), timer).detach([](kj::Exception&&) {});
}

int serve() {
  auto io = kj::setupAsyncIo();
  MemoryLogger logger;
  auto swarm = makeSwarm(io, logger, true);
  auto& timer = io.provider->getTimer();
  swarm->serve(RPC, [&timer](PeerStream peer) {
    serveRpc(kj::mv(peer.stream), timer).detach([](kj::Exception&&) {});
  });
  swarm->serve(SINK, [](PeerStream peer) {
    drain(kj::mv(peer.stream)).detach([](kj::Exception&&) {});
  });
  swarm->serve(BACK, [](PeerStream peer) {
    sendBack(kj::mv(peer.stream)).detach([](kj::Exception&&) {});
  });
  auto tcp = io.provider->getNetwork().parseAddress("127.0.0.1").wait(io.waitScope)->listen();
  while (swarm->getListenAddrs().size() == 0) {
    timer.afterDelay(1 * kj::MILLISECONDS).wait(io.waitScope);
  }
  printf("%s/p2p/%s\n%u\n", swarm->getListenAddrs()[0].toText().cStr(),
         swarm->getPeerId().toText().cStr(), tcp->getPort());
  fflush(stdout);
  auto accepting = acceptAll(kj::mv(tcp), timer).eagerlyEvaluate(nullptr);
  auto in = io.lowLevelProvider->wrapInputFd(STDIN_FILENO);
  kj::byte byte;
  in->tryRead(&byte, 1, 1).wait(io.waitScope);
  return 0;
}

// ------------------------------------------------------------------------------------- client

struct Caller {
  peer::Executor::Client executor;
  kj::uint left;

  kj::Promise<void> run() {
    while (left > 0) {
      --left;
      auto request = executor.echoRequest();
      request.setMessage("sixteen letters.");
      co_await request.send();
    }
  }
};

// Seconds a call.
double echo(kj::WaitScope& waitScope, kj::AsyncIoStream& stream, kj::uint calls,
            kj::uint inFlight) {
  capnp::TwoPartyClient rpc(stream);
  Caller caller{rpc.bootstrap().castAs<peer::Executor>(), 100};
  caller.run().wait(waitScope);
  caller.left = calls;
  return timed([&]() {
    kj::Vector<kj::Promise<void>> all;
    for (kj::uint i = 0; i < inFlight; i++) all.add(caller.run());
    kj::joinPromises(all.releaseAsArray()).wait(waitScope);
  }) / calls;
}

// Round trips and bytes a second of a stream with Rust at both ends.
struct Rust {
  double trips, bytes;
};

class Client {
 public:
  Client(Child& server, kj::Function<Rust()> runRust, Report& report)
      : report(report), runRust(kj::mv(runRust)), target(address(server.readLine())),
        peer(KJ_ASSERT_NONNULL(target.findPeer())), port(server.readLine().parseAs<kj::uint>()),
        serverPid(server.getPid()) {
    connect(*swarm);
  }

  void run() {
    benchEcho();
    benchBareStream();
    benchOpen();
    benchDial();
    benchManyDials();
    benchHeld();
  }

 private:
  Report& report;
  kj::Function<Rust()> runRust;
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::WaitScope& waitScope = io.waitScope;
  kj::Timer& timer = io.provider->getTimer();
  MemoryLogger logger;
  Multiaddr target;
  PeerId peer;
  kj::uint port;
  pid_t serverPid;
  kj::Own<Libp2pSwarm> swarm = makeSwarm(io, logger, false);

  void connect(Libp2pSwarm& from) {
    from.connect(peer, kj::arrayPtr(&target, 1), DialScope::ANYWHERE).wait(waitScope);
  }
  kj::Own<kj::AsyncIoStream> openTcp() {
    return io.provider->getNetwork().parseAddress("127.0.0.1", port).wait(waitScope)->connect()
        .wait(waitScope);
  }

  void benchEcho() {
    for (kj::uint inFlight: {1u, 64u}) {
      bool one = inFlight == 1;
      kj::uint calls = one ? 5000 : 60000;
      Rounds rounds;
      for (int i = 0; i < TRIALS; i++) {
        rounds.turn([&]() {
          auto stream = swarm->open(peer, RPC).wait(waitScope);
          return echo(waitScope, *stream, calls, inFlight);
        }, [&]() {
          auto plain = openTcp();
          return echo(waitScope, *plain, calls, inFlight);
        }, [&]() { return one ? 1 / runRust().trips : 1; });
      }
      auto name = kj::str("node -> node echo, ", inFlight, " in flight");
      report.add(rate(kj::str(name), rounds.median(0, 1), "over plain TCP",
                      {Target::Of::PART, one ? 0.30 : 0.70}));
      if (!one) continue;
      report.add(rate(kj::str(name), rounds.median(0, 2), "ping-pong with Rust at both ends",
                      {Target::Of::PART, 0.45}));
    }
  }

  kj::Promise<void> goBackAndForth(kj::AsyncIoStream& stream) {
    kj::byte message[MESSAGE] = {};
    for (int i = 0; i < 5000; i++) {
      co_await stream.write(message, MESSAGE);
      co_await stream.read(message, MESSAGE);
    }
  }

  kj::Promise<void> pour() {
    auto piece = kj::heapArray<kj::byte>(PIECE);
    memset(piece.begin(), 'x', PIECE);
    auto stream = co_await swarm->open(peer, SINK);
    for (size_t done = 0; done < BULK; done += PIECE) {
      co_await stream->write(piece.begin(), PIECE);
    }
    stream->shutdownWrite();
    kj::byte byte;
    co_await stream->read(&byte, 1);
  }

  Rust runOurs(kj::AsyncIoStream& back) {
    auto trip = timed([&]() { goBackAndForth(back).wait(waitScope); }) / 5000;
    double bytes = 0;
    for (int i = 0; i < BULKS; i++) {
      bytes = kj::max(bytes, BULK / timed([&]() { pour().wait(waitScope); }));
    }
    return {1 / trip, bytes};
  }

  // In turn with Rust, as often as it: the machine's moods hit a round alike.
  void benchBareStream() {
    auto back = swarm->open(peer, BACK).wait(waitScope);
    kj::Vector<Round> trips, bytes;
    for (int i = 0; i < ROUNDS; i++) {
      auto ours = runOurs(*back);
      auto rust = runRust();
      trips.add(Round{1 / ours.trips, 1 / rust.trips});
      bytes.add(Round{ours.bytes, rust.bytes});
    }
    report.add(rate(kj::str("node -> node ping-pong on a bare stream"), median(trips),
                    "with Rust at both ends"));
    report.add(flow(kj::str("node -> node bulk"), median(bytes), "with Rust at both ends",
                    {Target::Of::PART, 0.95}));
  }

  void benchOpen() {
    auto time = best([&]() {
      constexpr int COUNT = 100;
      return timed([&]() {
        for (int i = 0; i < COUNT; i++) swarm->open(peer, SINK).wait(waitScope);
      }) / COUNT;
    });
    auto ping = best([&]() { return swarm->ping(peer).wait(waitScope) / kj::NANOSECONDS * 1e-9; });
    report.add(bench::time(kj::str("node -> node: open a stream"), {time, ping},
                           "a ping there and back", {Target::Of::MOST, 200e-6}));
  }

  void benchDial() {
    auto time = best([&]() {
      auto fresh = makeSwarm(io, logger, false);
      return timed([&]() { connect(*fresh); });
    });
    auto tcp = best([&]() { return timed([&]() { openTcp(); }); });
    report.add(bench::time(kj::str("node -> node: cold dial"), {time, tcp},
                           "connect() of plain TCP", {Target::Of::MOST, 2e-3}));
  }

  // How much later than after its millisecond the loop came back, at worst, while so many dials
  // fail.
  void benchManyDials() {
    auto nowhere = address("/ip4/127.0.0.1/tcp/1");
    auto ids = kj::heapArrayBuilder<PeerId>(DIALS);
    for (kj::uint i = 0; i < DIALS; i++) ids.add(Identity::generate().getPeerId().clone());
    auto& clock = kj::systemPreciseMonotonicClock();
    double worst = 0;
    auto tick = [&]() -> kj::Promise<void> {
      for (;;) {
        auto before = clock.now();
        co_await timer.afterDelay(1 * kj::MILLISECONDS);
        auto late = clock.now() - before - 1 * kj::MILLISECONDS;
        worst = kj::max(worst, late / kj::NANOSECONDS * 1e-9);
      }
    };
    auto ticking = tick().eagerlyEvaluate(nullptr);
    kj::Vector<kj::Promise<void>> dials;
    for (auto& id: ids) {
      dials.add(swarm->connect(id, kj::arrayPtr(&nowhere, 1), DialScope::ANYWHERE)
                    .catch_([](kj::Exception&&) {}));
    }
    kj::joinPromises(dials.releaseAsArray()).wait(waitScope);
    report.add({kj::str("loop late at worst, in ", DIALS, " dials"), Unit::SECONDS, worst, nullptr,
                {Target::Of::MOST, 10e-3}});
  }

  void benchHeld() {
    auto before = residentBytes(kj::str(serverPid));
    kj::Vector<kj::Own<Libp2pSwarm>> others;
    for (kj::uint i = 0; i < HELD; i++) {
      others.add(makeSwarm(io, logger, false));
      connect(*others.back());
    }
    auto each = (residentBytes(kj::str(serverPid)) - before) / HELD;
    report.add({kj::str("a connection held, at ", HELD), Unit::BYTES, each});
  }
};

}  // namespace
}  // namespace ww::bench

int main(int argc, char** argv) {
  using namespace ww::bench;
  KJ_REQUIRE(argc == 2 || argc == 3, "usage: ww-bench-network RUST_BENCH [JSON] | serve");
  kj::StringPtr program = argv[1];
  if (program == "serve") return serve();
  Child rust(kj::arr(program, "serve"_kj));
  auto rustAddress = rust.readLine();
  Child server(kj::arr("/proc/self/exe"_kj, "serve"_kj));
  Report report(argc == 3 ? fopen(argv[2], "a") : nullptr);
  report.begin("network");
  Client(server, [&]() -> Rust {
    Child run(kj::arr(program, "run"_kj, kj::StringPtr(rustAddress)));
    auto said = run.readLine();
    return {number(said), number(said, 1)};
  }, report).run();
  return 0;
}
