#include <ww/node/network.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/encoding.h>
#include <kj/io.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/net/libp2p-swarm.h>
#include <ww/node/client-links.h>

namespace ww {
namespace {

constexpr size_t NETWORK_KEY_BYTES = 32;
constexpr size_t MAX_KEY_FILE_BYTES = 4096;
constexpr kj::StringPtr KEY_HEADER = "/key/swarm/psk/1.0.0/\n/base16/\n"_kj;

// Port 2020, over all that the machine has. A shared key leaves TCP alone.
constexpr kj::StringPtr DEFAULT_TCP = "/ip4/0.0.0.0/tcp/2020"_kj;
constexpr kj::StringPtr DEFAULT_QUIC = "/ip4/0.0.0.0/udp/2020/quic-v1"_kj;

Multiaddr parse(kj::StringPtr option, kj::StringPtr text) {
  auto parsed = parseMultiaddrText(text);
  KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) {
    kj::throwFatalException(badInput(kj::str(option, " ", text, ": no multiaddr: ", *problem,
                                             "; one looks like ", DEFAULT_TCP)));
  }
  return kj::mv(parsed.get<Multiaddr>());
}

kj::Array<Multiaddr> listenAddrs(const NetworkOptions& options) {
  kj::Vector<Multiaddr> addrs;
  for (auto& text: options.listen) addrs.add(parse("--listen", text));
  if (addrs.empty()) {
    addrs.add(parse("--listen", DEFAULT_TCP));
    if (options.privateNetwork == nullptr) addrs.add(parse("--listen", DEFAULT_QUIC));
  }
  return addrs.releaseAsArray();
}

kj::Array<Multiaddr> bootstrapAddrs(const NetworkOptions& options) {
  return KJ_MAP(text, options.bootstrap) {
    auto addr = parse("--bootstrap", text);
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

DhtMode dhtMode(kj::StringPtr name) {
  if (name == "client") return DhtMode::CLIENT;
  if (name == "server") return DhtMode::SERVER;
  return DhtMode::AUTO;
}

}  // namespace

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

kj::Own<Swarm> makeSwarm(const NetworkOptions& options, const Identity& identity,
                         kj::Timer& timer, Logger& logger) {
  if (!options.enabled) {
    logger.log(LogLevel::INFO, "no network: this node neither listens nor dials",
               {{"peer", identity.getPeerId().toText()}});
    return kj::heap<NoNetwork>(identity.getPeerId().clone());
  }
  Libp2pOptions raw;
  raw.listen = listenAddrs(options);
  raw.bootstrap = bootstrapAddrs(options);
  raw.protocols = kj::heapArray<kj::StringPtr>({RPC_PROTOCOL});
  KJ_IF_MAYBE(path, options.privateNetwork) raw.privateNetwork = readNetworkKey(*path);
  raw.dialTimeout = options.dialTimeout;
  raw.dht = dhtMode(options.dht);
  raw.mdns = options.mdns;
  return kj::heap<Libp2pSwarm>(identity, kj::mv(raw), timer, logger);
}

}  // namespace ww
