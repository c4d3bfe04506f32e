// Node to node: a server in a process of its own, and a client in this one, over libp2p (TCP,
// Noise, Yamux) on loopback. Ceilings: the same RPC over plain TCP, and the same streams with Rust
// at both ends (rust/swarm-bench).
//
//   ww-bench-network RUST_BENCH     every figure
//   ww-bench-network serve          the server: says its addresses, ends with its input
#include <capnp/rpc-twoparty.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <math.h>
#include <peer.capnp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ww/link/rpc-link.h>
#include <ww/net/libp2p-swarm.h>
#include "bench.h"

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

// A process, and the first lines that it says. A server says its addresses, and ends with its
// input.
class Child {
 public:
  Child(const char* program, const char* word, const char* another, kj::uint lines) {
    int toChild[2], fromChild[2];
    KJ_SYSCALL(pipe2(toChild, O_CLOEXEC));
    KJ_SYSCALL(pipe2(fromChild, O_CLOEXEC));
    KJ_SYSCALL(pid = fork());
    if (pid == 0) {
      dup2(toChild[0], STDIN_FILENO);
      dup2(fromChild[1], STDOUT_FILENO);
      execl(program, program, word, another, nullptr);
      _exit(127);
    }
    close(toChild[0]);
    close(fromChild[1]);
    input = kj::AutoCloseFd(toChild[1]);
    auto out = fdopen(fromChild[0], "r");
    KJ_DEFER(fclose(out));
    char line[256];
    for (kj::uint i = 0; i < lines; i++) {
      KJ_REQUIRE(fgets(line, sizeof(line), out) != nullptr, "it has ended", program, word);
      said.add(kj::heapString(line, strcspn(line, "\n")));
    }
  }
  ~Child() {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  KJ_DISALLOW_COPY_AND_MOVE(Child);

  kj::Vector<kj::String> said;
  pid_t pid;

 private:
  kj::AutoCloseFd input;
};

// ------------------------------------------------------------------------------------- client

// The number behind the first space.
double secondNumber(kj::StringPtr text) {
  auto rest = text.slice(KJ_REQUIRE_NONNULL(text.findFirst(' '), text) + 1);
  auto end = rest.findFirst(' ').orDefault(rest.size());
  return kj::heapString(rest.begin(), end).parseAs<double>();
}

double residentKiB(pid_t pid) {
  char text[256] = {};
  kj::AutoCloseFd fd(open(kj::str("/proc/", pid, "/statm").cStr(), O_RDONLY | O_CLOEXEC));
  KJ_REQUIRE(read(fd, text, sizeof(text) - 1) > 0);
  return secondNumber(text) * double(sysconf(_SC_PAGESIZE)) / 1024;
}

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
  Client(const Child& server, kj::Function<Rust()> runRust)
      : runRust(kj::mv(runRust)), target(address(server.said[0])),
        peer(KJ_ASSERT_NONNULL(target.findPeer())), port(server.said[1].parseAs<kj::uint>()),
        serverPid(server.pid) {
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
    double rustTrips = 0;
    for (kj::uint inFlight: {1u, 64u}) {
      kj::uint calls = inFlight == 1 ? 5000 : 60000;
      double ours = INFINITY, tcp = INFINITY;
      for (int i = 0; i < TRIALS; i++) {
        auto stream = swarm->open(peer, RPC).wait(waitScope);
        ours = kj::min(ours, echo(waitScope, *stream, calls, inFlight));
        auto plain = openTcp();
        tcp = kj::min(tcp, echo(waitScope, *plain, calls, inFlight));
        if (inFlight == 1) rustTrips = kj::max(rustTrips, runRust().trips);
      }
      auto name = kj::str("node -> node echo, ", inFlight, " in flight");
      print(name, perSecond(ours), "over plain TCP", perSecond(tcp), ratio(tcp / ours));
      if (inFlight == 1) {
        print(name, perSecond(ours), "ping-pong with Rust at both ends", perSecond(1 / rustTrips),
              ratio(1 / ours / rustTrips));
      }
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

  // In turn with Rust, as often as it: the machine's moods hit a round alike. Of the rounds the
  // one whose ratio is the median is told.
  void benchBareStream() {
    auto back = swarm->open(peer, BACK).wait(waitScope);
    kj::Vector<Round> trips, bytes;
    for (int i = 0; i < ROUNDS; i++) {
      auto ours = runOurs(*back);
      auto rust = runRust();
      trips.add(Round{ours.trips, rust.trips});
      bytes.add(Round{ours.bytes, rust.bytes});
    }
    auto trip = median(trips);
    print("node -> node ping-pong on a bare stream", perSecond(1 / trip.value),
          "with Rust at both ends", perSecond(1 / trip.ceiling), ratio(trip.value / trip.ceiling));
    auto bulk = median(bytes);
    print("node -> node bulk", kj::str(int(bulk.value / 1e6), " MB/s"), "with Rust at both ends",
          kj::str(int(bulk.ceiling / 1e6), " MB/s"), ratio(bulk.value / bulk.ceiling));
  }

  void benchOpen() {
    auto time = best([&]() {
      constexpr int COUNT = 100;
      return timed([&]() {
        for (int i = 0; i < COUNT; i++) swarm->open(peer, SINK).wait(waitScope);
      }) / COUNT;
    });
    auto ping = best([&]() { return swarm->ping(peer).wait(waitScope) / kj::NANOSECONDS * 1e-9; });
    print("node -> node: open a stream", us(time), "a ping there and back", us(ping),
          ratio(ping / time));
  }

  void benchDial() {
    auto time = best([&]() {
      auto fresh = makeSwarm(io, logger, false);
      return timed([&]() { connect(*fresh); });
    });
    auto tcp = best([&]() { return timed([&]() { openTcp(); }); });
    print("node -> node: cold dial", us(time), "connect() of plain TCP", us(tcp),
          ratio(tcp / time));
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
    auto all = timed([&]() {
      kj::Vector<kj::Promise<void>> dials;
      for (auto& id: ids) {
        dials.add(swarm->connect(id, kj::arrayPtr(&nowhere, 1), DialScope::ANYWHERE)
                      .catch_([](kj::Exception&&) {}));
      }
      kj::joinPromises(dials.releaseAsArray()).wait(waitScope);
    });
    print(kj::str("loop late at worst, in ", DIALS, " dials"), us(worst), "all of them settled",
          us(all));
  }

  void benchHeld() {
    auto before = residentKiB(serverPid);
    kj::Vector<kj::Own<Libp2pSwarm>> others;
    for (kj::uint i = 0; i < HELD; i++) {
      others.add(makeSwarm(io, logger, false));
      connect(*others.back());
    }
    auto each = (residentKiB(serverPid) - before) / HELD;
    print(kj::str("a connection held, at ", HELD), kj::str(int(each), " KiB"),
          "inbound ones, at most", "64");
  }
};

}  // namespace
}  // namespace ww::bench

int main(int argc, char** argv) {
  using namespace ww::bench;
  KJ_REQUIRE(argc == 2, "usage: ww-bench-network RUST_BENCH | serve");
  if (kj::StringPtr(argv[1]) == "serve") return serve();
  Child rust(argv[1], "serve", nullptr, 1);
  Child server("/proc/self/exe", "serve", nullptr, 2);
  Client(server, [&]() -> Rust {
    Child run(argv[1], "run", rust.said[0].cStr(), 1);
    auto space = KJ_REQUIRE_NONNULL(run.said[0].findFirst(' '), "the Rust bench failed");
    auto trips = kj::str(run.said[0].slice(0, space)).parseAs<double>();
    return {trips, secondNumber(run.said[0])};
  }).run();
  return 0;
}
