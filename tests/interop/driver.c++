// A node of ours that does what it is told, a line at a time, as the foreign ones in js/ and go/.
//
//   interop-driver [--dial-private] [--mdns] [--dht-auto] [--listen ADDR]... [KEY_FILE]
//
// It says `listening ADDR`, of those at a relay too. It takes `dial ADDR`, `ping PEER`, `echo PEER
// BYTES`, `find PEER` (to dial a peer of whom only the DHT or mDNS knows), `addresses PEER` (where
// it is connected), `hold PEER` (a stream, until its end), `protect PEER` (from making room),
// `peers` and `streams` (how many there are), and `dials N ADDR` (as many at once, to peers that
// are not there). Each is answered with one line when it is done, `failed WHY` if it cannot be;
// none waits for another. The end of its input ends it.
#include <kj/debug.h>
#include <kj/io.h>
#include <kj/map.h>
#include <stdlib.h>
#include <unistd.h>
#include <ww/base/random.h>
#include <ww/net/libp2p-swarm.h>
#include <ww/node/identity-file.h>
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

struct Flags {
  kj::Vector<kj::StringPtr> listen;
  kj::Maybe<kj::StringPtr> keyFile;
  bool dialPrivate = false;
  bool mdns = false;
  DhtMode dht = DhtMode::SERVER;

  explicit Flags(kj::ArrayPtr<char*> args) {
    for (size_t i = 1; i < args.size(); i++) {
      kj::StringPtr arg = args[i];
      if (arg == "--dial-private") dialPrivate = true;
      else if (arg == "--mdns") mdns = true;
      else if (arg == "--dht-auto") dht = DhtMode::AUTO;
      else if (arg == "--listen" && i + 1 < args.size()) listen.add(args[++i]);
      else keyFile = arg;
    }
  }

  Identity identity() const {
    KJ_IF_MAYBE(path, keyFile) return readIdentity(*path);
    return Identity::generate();
  }
};

class Driver final: private kj::TaskSet::ErrorHandler {
 public:
  Driver(kj::AsyncIoContext& io, Flags flags)
      : in(openStdin(*io.lowLevelProvider)),
        swarm(flags.identity(), options(flags), io.provider->getTimer(), io.unixEventPort, logger),
        mdns(flags.mdns),
        tasks(*this) {
    swarm.serve(ECHO, [this](PeerStream peer) {
      auto& stream = *peer.stream;
      ++streams;
      stream.pumpTo(stream).then([&stream](uint64_t) { stream.shutdownWrite(); })
          .attach(kj::mv(peer.stream), kj::defer([this]() { --streams; }))
          .detach([](kj::Exception&&) {});
    });
  }

  kj::Promise<void> run(kj::Timer& timer) {
    auto announcing = announce(timer).eagerlyEvaluate(nullptr);
    for (;;) {
      KJ_IF_MAYBE(line, co_await readLine()) {
        tasks.add(kj::evalNow([&]() { return obey(*line); }));
      } else {
        co_return;
      }
    }
  }

 private:
  MemoryLogger logger;
  kj::Own<kj::AsyncInputStream> in;
  Libp2pSwarm swarm;
  const bool mdns;
  kj::uint streams = 0;  // of peers, that are open
  kj::Vector<kj::Own<void>> protections;
  kj::Vector<char> unread;
  kj::TaskSet tasks;

  void taskFailed(kj::Exception&& exception) override {
    auto line = kj::str("failed ", exception.getDescription());
    for (auto& c: line.asArray()) {
      if (c == '\n') c = ' ';
    }
    say(line);
  }

  static Libp2pOptions options(const Flags& flags) {
    Libp2pOptions result;
    auto listen = kj::heapArrayBuilder<Multiaddr>(2 + flags.listen.size());
    listen.add(parseAddr("/ip4/127.0.0.1/tcp/0"));
    listen.add(parseAddr("/ip4/127.0.0.1/udp/0/quic-v1"));
    for (auto& addr: flags.listen) listen.add(parseAddr(addr));
    result.listen = listen.finish();
    result.protocols = kj::heapArray<kj::StringPtr>({ECHO});
    result.dht = flags.dht;
    result.mdns = flags.mdns;
    result.dialPrivate = flags.dialPrivate;
    result.dialTimeout = 3 * kj::SECONDS;
    return result;
  }

  kj::Promise<void> announce(kj::Timer& timer) {
    kj::HashSet<kj::String> said;
    for (;;) {
      kj::HashSet<kj::String> now;
      for (auto& addr: swarm.getListenAddrs()) {
        auto text = addr.toText(swarm.getPeerId());
        if (!said.contains(text)) say(kj::str("listening ", text));
        now.insert(kj::mv(text));
      }
      said = kj::mv(now);
      co_await timer.afterDelay(1 * kj::MILLISECONDS);
    }
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
    if (line == "peers") return peers();
    if (line == "streams") {
      say(kj::str("streams ", streams));
      return kj::READY_NOW;
    }
    auto space = KJ_REQUIRE_NONNULL(line.findFirst(' '), "no such command");
    auto name = kj::str(line.slice(0, space));
    auto rest = line.slice(space + 1);
    if (name == "dial") return dial(parseAddr(rest));
    if (name == "find") return find(parsePeer(rest));
    if (name == "addresses") return addresses(parsePeer(rest));
    if (name == "ping") return ping(parsePeer(rest));
    if (name == "hold") return hold(parsePeer(rest));
    if (name == "protect") {
      protections.add(swarm.protect(parsePeer(rest)));
      say("protected");
      return kj::READY_NOW;
    }
    if (name == "dials") {
      auto second = KJ_REQUIRE_NONNULL(rest.findFirst(' '), "dials takes an address");
      return dials(kj::str(rest.slice(0, second)).parseAs<kj::uint>(),
                   parseAddr(rest.slice(second + 1)));
    }
    if (name == "echo") {
      auto second = KJ_REQUIRE_NONNULL(rest.findFirst(' '), "echo takes a size");
      return echo(parsePeer(kj::str(rest.slice(0, second))),
                  rest.slice(second + 1).parseAs<kj::uint>());
    }
    KJ_FAIL_REQUIRE("no such command", name);
  }

  kj::Promise<void> dial(Multiaddr addr) {
    auto found = addr.findPeer();
    auto& peer = KJ_REQUIRE_NONNULL(found, "it must end in /p2p/PEERID");
    co_await swarm.connect(peer, kj::arrayPtr(&addr, 1), DialScope::ANYWHERE);
    say(kj::str("dialled ", peer.toText()));
  }

  kj::Promise<void> addresses(PeerId peer) {
    for (auto& other: swarm.getPeers()) {
      if (other.id != peer) continue;
      auto texts = KJ_MAP(addr, other.addrs) { return addr.toText(); };
      say(kj::str("addresses ", kj::strArray(texts, ",")));
      return kj::READY_NOW;
    }
    KJ_FAIL_REQUIRE("not connected");
  }

  kj::Promise<void> find(PeerId peer) {
    if (mdns) co_await swarm.find(peer);
    co_await swarm.connect(peer, nullptr, DialScope::ANYWHERE);
    say(kj::str("found ", peer.toText()));
  }

  kj::Promise<void> ping(PeerId peer) {
    co_await swarm.ping(peer);
    say(kj::str("pinged ", peer.toText()));
  }

  kj::Promise<void> peers() {
    auto count = swarm.getPeers().size();
    say(kj::str("peers ", count));
    return kj::READY_NOW;
  }

  kj::Promise<void> hold(PeerId peer) {
    auto stream = co_await swarm.open(peer, ECHO);
    say("holding");
    kj::byte byte;
    auto n = co_await stream->tryRead(&byte, 1, 1);
    say(kj::str("ended after ", n));
  }

  kj::Promise<void> dials(kj::uint count, Multiaddr addr) {
    auto promises = kj::heapArrayBuilder<kj::Promise<bool>>(count);
    for (kj::uint i = 0; i < count; i++) {
      promises.add(swarm.connect(Identity::generate().getPeerId(), kj::arrayPtr(&addr, 1),
                                 DialScope::ANYWHERE).then([]() { return false; },
          [](kj::Exception&& e) { return e.getType() == kj::Exception::Type::OVERLOADED; }));
    }
    auto refused = co_await kj::joinPromises(promises.finish());
    kj::uint overLimit = 0;
    for (auto one: refused) overLimit += one;
    say(kj::str("settled ", count, " overloaded ", overLimit));
  }

  kj::Promise<void> echo(PeerId peer, size_t size) {
    auto stream = co_await swarm.open(peer, ECHO);
    auto sent = kj::heapArray<kj::byte>(size), received = kj::heapArray<kj::byte>(size);
    auto pattern = randomNonce();
    for (size_t i = 0; i < size; i++) {
      sent[i] = pattern >> 56;
      pattern = pattern * 6364136223846793005u + 1442695040888963407u;
    }
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

int main(int argc, char** argv) {
  auto io = kj::setupAsyncIo();
  ww::Driver driver(io, ww::Flags(kj::arrayPtr(argv, argc)));
  driver.run(io.provider->getTimer()).wait(io.waitScope);
  return 0;
}
