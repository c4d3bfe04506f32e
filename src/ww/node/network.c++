#include <ww/node/network.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/encoding.h>
#include <kj/io.h>
#include <kj/vector.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/image/bitswap-message.h>
#include <ww/net/libp2p-swarm.h>
#include <ww/node/client-links.h>
#include <ww/node/ip-port.h>

namespace ww {
namespace {

constexpr size_t NETWORK_KEY_BYTES = 32;
constexpr size_t MAX_KEY_FILE_BYTES = 4096;
constexpr kj::StringPtr KEY_HEADER = "/key/swarm/psk/1.0.0/\n/base16/\n"_kj;

// By custom; of --rpc.
constexpr uint16_t RPC_PORT = 2021;

// Port 2020, over all that the machine has. A shared key leaves TCP alone.
constexpr kj::StringPtr DEFAULT_TCP = "/ip4/0.0.0.0/tcp/2020"_kj;
constexpr kj::StringPtr DEFAULT_QUIC = "/ip4/0.0.0.0/udp/2020/quic-v1"_kj;

Multiaddr parse(kj::StringPtr option, kj::StringPtr text, Multiaddr::Use use) {
  auto parsed = parseMultiaddrText(text);
  KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) {
    kj::throwFatalException(badInput(kj::str(option, " ", shorten(text), ": no multiaddr: ",
        *problem, "; one looks like ",
        use == Multiaddr::Use::LISTEN ? DEFAULT_TCP : "/ip4/IP/tcp/PORT/p2p/PEERID"_kj)));
  }
  auto addr = kj::mv(parsed.get<Multiaddr>());
  KJ_IF_MAYBE(obstacle, addr.findObstacle(use)) {
    kj::throwFatalException(badInput(kj::str(option, " ", shorten(text), ": ", *obstacle)));
  }
  return addr;
}

kj::Array<Multiaddr> bootstrapAddrs(const NetworkOptions& options) {
  return KJ_MAP(text, options.bootstrap) {
    auto addr = parse("--bootstrap", text, Multiaddr::Use::DIAL);
    if (addr.findPeer() == nullptr) {
      kj::throwFatalException(badInput(kj::str("--bootstrap ", text,
          ": it does not say who is there; it must end in /p2p/PEERID")));
    }
    return addr;
  };
}

kj::Array<kj::byte> readNetworkKey(kj::StringPtr path) {
  auto fail = [&](kj::StringPtr what) {
    kj::throwFatalException(badInput(kj::str("--private-network ", path, ": ", what)));
  };
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (raw < 0) fail(kj::str("cannot be read (", strerror(errno), ")"));
  kj::AutoCloseFd file(raw);
  struct stat info;
  if (fstat(file, &info) < 0 || !S_ISREG(info.st_mode)) fail("not a plain file");
  if ((info.st_mode & 077) != 0) {
    fail(kj::str("others may use this key; run: chmod 600 ", path));
  }
  char buffer[MAX_KEY_FILE_BYTES];
  auto size = kj::FdInputStream(file.get()).tryRead(buffer, 1, sizeof(buffer));
  kj::Array<kj::byte> key;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    key = parseNetworkKey(kj::heapString(buffer, size));
  })) {
    fail(exception->getDescription());
  }
  return key;
}

kj::Array<Multiaddr> directAddrs(const NetworkOptions& options) {
  kj::Vector<Multiaddr> addrs;
  KJ_IF_MAYBE(text, options.rpc) {
    addrs.add(parse("--rpc", rpcAddr(*text), Multiaddr::Use::LISTEN));
  }
  return addrs.releaseAsArray();
}

DhtMode dhtMode(kj::StringPtr name) {
  if (name == "client") return DhtMode::CLIENT;
  if (name == "server") return DhtMode::SERVER;
  return DhtMode::AUTO;
}

}  // namespace

kj::Array<Multiaddr> listenAddrs(const NetworkOptions& options) {
  kj::Vector<Multiaddr> addrs;
  auto add = [&](kj::StringPtr text) {
    addrs.add(parse("--listen", text, Multiaddr::Use::LISTEN));
  };
  for (auto& text: options.listen) add(text);
  if (addrs.empty()) {
    add(DEFAULT_TCP);
    if (options.privateNetwork == nullptr) add(DEFAULT_QUIC);
  }
  return addrs.releaseAsArray();
}

kj::Array<kj::byte> parseNetworkKey(kj::StringPtr text) {
  if (!text.startsWith(KEY_HEADER)) {
    kj::throwFatalException(badInput("no key of a private network: it begins with the lines "
        "/key/swarm/psk/1.0.0/ and /base16/"));
  }
  auto digits = text.slice(KEY_HEADER.size());
  size_t size = digits.size();
  while (size > 0 && (digits[size - 1] == '\n' || digits[size - 1] == '\r')) size--;
  auto key = kj::decodeHex(digits.slice(0, size));
  if (key.hadErrors || key.size() != NETWORK_KEY_BYTES) {
    kj::throwFatalException(badInput("no key of a private network: its third line has 64 "
        "hexadecimal digits"));
  }
  return kj::mv(key);
}

kj::String rpcAddr(kj::StringPtr text) {
  auto place = parseIpPort("--rpc", text, RPC_PORT);
  return kj::str(place.isIp6 ? "/ip6/" : "/ip4/", place.ip, "/tcp/", place.port);
}

kj::Promise<void> meetBootstrap(const NetworkOptions& options, Swarm& swarm) {
  if (!options.enabled) return kj::READY_NOW;
  kj::Vector<kj::Promise<void>> dials;
  for (auto& addr: bootstrapAddrs(options)) {
    auto id = KJ_ASSERT_NONNULL(addr.findPeer());
    dials.add(swarm.connect(id, kj::arrayPtr(&addr, 1), DialScope::ANYWHERE)
                  .catch_([](kj::Exception&&) {}));  // libp2p goes on trying
  }
  return kj::joinPromises(dials.releaseAsArray());
}

kj::Own<Swarm> makeSwarm(const NetworkOptions& options, const Identity& identity,
                         kj::Timer& timer, kj::UnixEventPort& port, Logger& logger) {
  auto direct = directAddrs(options);
  if (!options.enabled) {
    logger.log(LogLevel::INFO, direct.size() == 0
                   ? "no network: this node neither listens nor dials"_kj
                   : "no network but RPC: this node has no peers and dials nobody"_kj,
               {{"peer", identity.getPeerId().toText()}});
    if (direct.size() == 0) return kj::heap<NoNetwork>(identity.getPeerId().clone());
    Libp2pOptions alone;
    alone.network = false;
    alone.direct = kj::mv(direct);
    alone.protocols = kj::heapArray<kj::StringPtr>({RPC_PROTOCOL});
    return kj::heap<Libp2pSwarm>(identity, kj::mv(alone), timer, port, logger);
  }
  Libp2pOptions raw;
  raw.direct = kj::mv(direct);
  raw.listen = listenAddrs(options);
  raw.bootstrap = bootstrapAddrs(options);
  raw.protocols = kj::heapArray<kj::StringPtr>({RPC_PROTOCOL, BITSWAP});
  KJ_IF_MAYBE(path, options.privateNetwork) raw.privateNetwork = readNetworkKey(*path);
  raw.dialTimeout = options.dialTimeout;
  raw.dht = dhtMode(options.dht);
  raw.mdns = options.mdns;
  raw.dialPrivate = options.dialPrivate || options.privateNetwork != nullptr;
  return kj::heap<Libp2pSwarm>(identity, kj::mv(raw), timer, port, logger);
}

}  // namespace ww
