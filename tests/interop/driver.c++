// A node of ours that does what it is told, a line at a time, as the foreign ones in js/ and go/ do.
//
// It says `listening ADDR`. It takes `dial ADDR`, `ping PEER`, `echo PEER BYTES` and `find PEER`
// (which dials a peer of whom only the DHT knows), and answers each with one line, `failed WHY` if
// it cannot be done. The end of its input ends it.
#include <kj/debug.h>
#include <kj/io.h>
#include <stdlib.h>
#include <unistd.h>
#include <ww/base/random.h>
#include <ww/net/libp2p-swarm.h>
#include <ww/node/stdio.h>

namespace ww {
namespace {

constexpr kj::StringPtr ECHO = "/ww/interop/echo"_kj;

void say(kj::StringPtr line) {
  auto text = kj::str(line, '\n');
  kj::FdOutputStream(STDOUT_FILENO).write(text.begin(), text.size());
}

Multiaddr parseAddr(kj::StringPtr text) {
  auto parsed = parseMultiaddrText(text);
  KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) KJ_FAIL_REQUIRE("no multiaddr", *problem);
  return kj::mv(parsed.get<Multiaddr>());
}

PeerId parsePeer(kj::StringPtr text) {
  auto parsed = PeerId::parseText(text);
  return kj::mv(KJ_REQUIRE_NONNULL(parsed, "no peer id", text));
}

class Driver {
 public:
  explicit Driver(kj::AsyncIoContext& io)
      : in(openStdin(*io.lowLevelProvider)),
        swarm(identity, options(), io.provider->getTimer(), logger) {
    swarm.serve(ECHO, [](PeerStream peer) {
      auto& stream = *peer.stream;
      stream.pumpTo(stream).then([&stream](uint64_t) { stream.shutdownWrite(); })
          .attach(kj::mv(peer.stream)).detach([](kj::Exception&&) {});
    });
  }

  kj::Promise<void> run(kj::Timer& timer) {
    while (swarm.getListenAddrs().size() < 2) co_await timer.afterDelay(1 * kj::MILLISECONDS);
    for (auto& addr: swarm.getListenAddrs()) {
      say(kj::str("listening ", addr.toText(), "/p2p/", swarm.getPeerId().toText()));
    }
    for (;;) {
      KJ_IF_MAYBE(line, co_await readLine()) {
        auto promise = kj::evalNow([&]() { return obey(*line); });
        auto why = co_await promise.then([]() { return kj::String(); },
            [](kj::Exception&& e) { return kj::str("failed ", e.getDescription()); });
        if (why.size() > 0) say(why);
      } else {
        co_return;
      }
    }
  }

 private:
  MemoryLogger logger;
  Identity identity = Identity::generate();
  kj::Own<kj::AsyncInputStream> in;
  Libp2pSwarm swarm;
  kj::Vector<char> unread;

  static Libp2pOptions options() {
    Libp2pOptions result;
    auto listen = kj::heapArrayBuilder<Multiaddr>(2);
    listen.add(parseAddr("/ip4/127.0.0.1/tcp/0"));
    listen.add(parseAddr("/ip4/127.0.0.1/udp/0/quic-v1"));
    result.listen = listen.finish();
    result.protocols = kj::heapArray<kj::StringPtr>({ECHO});
    result.dht = DhtMode::SERVER;
    result.mdns = false;
    return result;
  }

  kj::Promise<kj::Maybe<kj::String>> readLine() {
    for (;;) {
      for (size_t i = 0; i < unread.size(); i++) {
        if (unread[i] != '\n') continue;
        auto line = kj::heapString(unread.begin(), i);
        kj::Vector<char> rest;
        rest.addAll(unread.begin() + i + 1, unread.end());
        unread = kj::mv(rest);
        co_return kj::mv(line);
      }
      char piece[4096];
      auto n = co_await in->tryRead(piece, 1, sizeof(piece));
      if (n == 0) co_return nullptr;
      unread.addAll(piece, piece + n);
    }
  }

  kj::Promise<void> obey(kj::StringPtr line) {
    auto space = KJ_REQUIRE_NONNULL(line.findFirst(' '), "no such command");
    auto name = kj::str(line.slice(0, space));
    auto rest = line.slice(space + 1);
    if (name == "dial") return dial(parseAddr(rest));
    if (name == "find") return find(parsePeer(rest));
    if (name == "ping") return ping(parsePeer(rest));
    if (name == "echo") {
      auto second = KJ_REQUIRE_NONNULL(rest.findFirst(' '), "echo takes a size");
      return echo(parsePeer(kj::str(rest.slice(0, second))), rest.slice(second + 1).parseAs<kj::uint>());
    }
    KJ_FAIL_REQUIRE("no such command", name);
  }

  kj::Promise<void> dial(Multiaddr addr) {
    auto found = addr.findPeer();
    auto& peer = KJ_REQUIRE_NONNULL(found, "it must end in /p2p/PEERID");
    co_await swarm.connect(peer, kj::arrayPtr(&addr, 1), DialScope::ANYWHERE);
    say(kj::str("dialled ", peer.toText()));
  }

  kj::Promise<void> find(PeerId peer) {
    co_await swarm.connect(peer, nullptr, DialScope::ANYWHERE);
    say(kj::str("found ", peer.toText()));
  }

  kj::Promise<void> ping(PeerId peer) {
    co_await swarm.ping(peer);
    say(kj::str("pinged ", peer.toText()));
  }

  kj::Promise<void> echo(PeerId peer, size_t size) {
    auto stream = co_await swarm.open(peer, ECHO);
    auto sent = kj::heapArray<kj::byte>(size), received = kj::heapArray<kj::byte>(size);
    for (auto& byte: sent) byte = randomNonce();
    auto writing = stream->write(sent.begin(), size).eagerlyEvaluate(nullptr);
    co_await stream->read(received.begin(), size);
    co_await writing;
    KJ_REQUIRE(sent == received, "what came back is not what was sent");
    stream->shutdownWrite();
    KJ_REQUIRE(co_await stream->tryRead(received.begin(), 1, 1) == 0, "more came back");
    say(kj::str("echoed ", size));
  }
};

}  // namespace
}  // namespace ww

int main() {
  auto io = kj::setupAsyncIo();
  ww::Driver driver(io);
  driver.run(io.provider->getTimer()).wait(io.waitScope);
  return 0;
}
