#include <ww/net/libp2p-swarm.h>

#include <string.h>
#include <ww/base/error.h>

namespace ww {
namespace {

// What identify tells of us.
constexpr kj::StringPtr AGENT = "wetware/" WW_VERSION ""_kj;

// Those that this node has a word for; libp2p knows some more.
kj::Array<Multiaddr> parseAll(kj::ArrayPtr<const kj::Array<kj::byte>> list) {
  kj::Vector<Multiaddr> addrs;
  for (auto& bytes: list) {
    auto parsed = Multiaddr::parse(bytes);
    KJ_IF_MAYBE(addr, parsed.tryGet<Multiaddr>()) addrs.add(kj::mv(*addr));
  }
  return addrs.releaseAsArray();
}

kj::Array<kj::Array<kj::byte>> copyBytes(kj::ArrayPtr<const Multiaddr> addrs) {
  return KJ_MAP(addr, addrs) { return kj::heapArray<kj::byte>(addr.asBytes()); };
}

// One that this node has no word for is on no internet that it knows.
bool isPrivate(ffi::Bytes bytes) noexcept {
  auto parsed = Multiaddr::parse(bytes);
  KJ_IF_MAYBE(addr, parsed.tryGet<Multiaddr>()) return addr->findPrivateRange() != nullptr;
  return true;
}

ffi::SwarmOptions threadOptions(const Identity& identity, const Libp2pOptions& options) {
  ffi::SwarmOptions result;
  result.identity = identity.encode();
  result.agent = kj::str(AGENT);
  result.listen = copyBytes(options.listen);
  result.bootstrap = copyBytes(options.bootstrap);
  result.protocols = kj::heapArray<kj::StringPtr>(options.protocols);
  result.privateNetwork = kj::heapArray<kj::byte>(options.privateNetwork);
  result.dialTimeout = options.dialTimeout;
  result.dht = options.dht;
  result.mdns = options.mdns;
  result.dialPrivate = options.dialPrivate;
  result.isPrivate = &isPrivate;
  result.network = options.network;
  result.direct = copyBytes(options.direct);
  return result;
}

// Takes out what may not be dialled, and adds why to `refusals`.
// What a name stands for inside is nothing to tell a cell.
kj::Array<Multiaddr> keepPublic(kj::Array<Multiaddr> addrs, kj::ArrayPtr<const ffi::Bytes> given,
                                kj::Vector<kj::String>& refusals) {
  kj::Vector<Multiaddr> kept;
  for (auto& addr: addrs) {
    KJ_IF_MAYBE(range, addr.findPrivateRange()) {
      bool wasGiven = false;
      for (auto bytes: given) wasGiven |= bytes == addr.asBytes();
      refusals.add(kj::str(wasGiven ? addr.toText() : kj::str("one that a name stands for"),
                           ": not public but ", *range, ": a cell may not dial it"));
    } else if (addr.toText().startsWith("/dnsaddr/")) {
      refusals.add(kj::str(addr.toText(), ": may name any address, so a cell may not dial it"));
    } else {
      kept.add(kj::mv(addr));
    }
  }
  return kept.releaseAsArray();
}

}  // namespace

kj::OneOf<Multiaddr, kj::String> parseMultiaddrText(kj::StringPtr text) {
  auto bytes = ffi::parseMultiaddr(text);
  KJ_IF_MAYBE(problem, bytes.tryGet<kj::String>()) return kj::mv(*problem);
  return Multiaddr::parse(bytes.get<kj::Array<kj::byte>>());
}

Libp2pSwarm::Libp2pSwarm(const Identity& identity, Libp2pOptions options, kj::Timer& timer,
                         kj::UnixEventPort& port, Logger& logger)
    : id(identity.getPeerId().clone()), dialTimeout(options.dialTimeout), timer(timer),
      logger(logger), thread(threadOptions(identity, options), *this, port) {}

kj::Array<Multiaddr> Libp2pSwarm::getListenAddrs() {
  return KJ_MAP(addr, listening) { return addr.clone(); };
}

kj::Array<Peer> Libp2pSwarm::getPeers() {
  auto result = kj::heapArrayBuilder<Peer>(peers.size());
  for (auto& entry: peers) {
    result.add(Peer{entry.value.id.clone(),
                    KJ_MAP(addr, entry.value.addrs) { return addr.clone(); }});
  }
  return result.finish();
}

bool Libp2pSwarm::isConnected(const PeerId& wanted) {
  return peers.find(wanted.toText()) != nullptr;
}

kj::Promise<void> Libp2pSwarm::connect(const PeerId& wanted, kj::ArrayPtr<const Multiaddr> addrs,
                                       DialScope scope) {
  return meet(wanted, addrs, scope).catch_([](kj::Exception&& e) -> kj::Promise<void> {
    if (e.getType() != kj::Exception::Type::DISCONNECTED) return kj::mv(e);
    return badInput(e.getDescription());
  });
}

kj::Promise<void> Libp2pSwarm::meet(const PeerId& wanted, kj::ArrayPtr<const Multiaddr> addrs,
                                    DialScope scope) {
  if (wanted == id) return badInput("cannot connect to this node itself");
  auto copy = KJ_MAP(addr, addrs) { return addr.clone(); };
  auto late = timer.afterDelay(dialTimeout).then(
      [wanted = wanted.clone(), timeout = dialTimeout,
       given = KJ_MAP(addr, addrs) { return addr.clone(); }]() -> kj::Promise<void> {
    kj::Vector<kj::String> tried;
    for (auto& addr: given) tried.add(addr.toText());
    if (tried.empty()) tried.add(kj::str("the addresses known"));
    return badInput(kj::str("cannot connect to ", wanted.toText(), ": no answer within ", timeout,
                            " from ", kj::strArray(tried, ", ")));
  });
  auto met = isConnected(wanted)
      ? thread.dial(wanted.asBytes(), nullptr)  // which waits until it has said something
      : resolveAndDial(wanted.clone(), kj::mv(copy), scope);
  return met.exclusiveJoin(kj::mv(late));
}

kj::Promise<void> Libp2pSwarm::resolveAndDial(PeerId wanted, kj::Array<Multiaddr> addrs,
                                              DialScope scope) {
  auto given = KJ_MAP(addr, addrs) { return addr.asBytes(); };
  auto resolved = co_await thread.resolve(wanted.asBytes(), given);
  kj::Vector<kj::String> failures;
  if (resolved.failures.size() > 0) failures.add(kj::mv(resolved.failures));
  auto candidates = parseAll(resolved.addrs);
  bool refused = false;
  if (scope == DialScope::PUBLIC) {
    auto before = candidates.size();
    candidates = keepPublic(kj::mv(candidates), given, failures);
    refused = candidates.size() < before;
  }
  auto prefix = kj::str("cannot connect to ", wanted.toText(), ": ");
  if (candidates.size() == 0) {
    auto why = failures.empty() ? kj::str("no address is known") : kj::strArray(failures, "; ");
    auto text = kj::str(prefix, why);
    kj::throwFatalException(refused ? denied(text) : badInput(text));
  }
  auto targets = KJ_MAP(addr, candidates) { return addr.asBytes(); };
  // The failure as a value: it gets the peer's name, and the names that stood for nothing.
  auto outcome = co_await thread.dial(wanted.asBytes(), targets).then(
      []() -> kj::Maybe<kj::Exception> { return nullptr; },
      [](kj::Exception&& e) -> kj::Maybe<kj::Exception> { return kj::mv(e); });
  KJ_IF_MAYBE(exception, outcome) {
    failures.add(kj::str(exception->getDescription()));
    auto text = kj::str(prefix, kj::strArray(failures, "; "));
    switch (exception->getType()) {
      case kj::Exception::Type::OVERLOADED:
        kj::throwFatalException(overloaded(kj::str("connections: ", text)));
      case kj::Exception::Type::DISCONNECTED:
        kj::throwFatalException(
            kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__, kj::mv(text)));
      default: kj::throwFatalException(badInput(text));
    }
  }
}

kj::Promise<kj::Own<kj::AsyncIoStream>> Libp2pSwarm::open(const PeerId& wanted,
                                                          kj::StringPtr protocol) {
  return thread.open(wanted.asBytes(), protocol);
}

kj::Promise<kj::Own<kj::AsyncIoStream>> Libp2pSwarm::reach(
    PeerId wanted, kj::Array<Multiaddr> addrs, kj::StringPtr protocol) {
  auto left = co_await meet(wanted, addrs, DialScope::ANYWHERE).then(
      []() -> kj::Maybe<kj::Exception> { return nullptr; },
      [](kj::Exception&& e) -> kj::Maybe<kj::Exception> {
    // It was there, under its own name, and is gone.
    if (e.getType() != kj::Exception::Type::DISCONNECTED) kj::throwFatalException(kj::mv(e));
    return kj::mv(e);
  });
  if (left == nullptr) co_return co_await open(wanted, protocol);
  auto targets = KJ_MAP(addr, addrs) { return addr.asBytes(); };
  co_return co_await thread.openDirect(wanted.asBytes(), targets, protocol).catch_(
      [&](kj::Exception&& e) -> kj::Promise<kj::Own<kj::AsyncIoStream>> {
    auto why = kj::str("it hung up before it said anything, as a node does that has all the "
        "connections that it takes, of one peer or in all (",
        KJ_ASSERT_NONNULL(left).getDescription(), ')');
    // Where both speak, the second may say more.
    if (strstr(e.getDescription().cStr(), "does not serve") != nullptr) return badInput(why);
    return badInput(kj::str(why, "; and as RPC alone: ", e.getDescription()));
  });
}

void Libp2pSwarm::serve(kj::StringPtr protocol, StreamHandler handler) {
  handlers.insert(protocol, kj::mv(handler));
}

kj::Promise<kj::Array<PeerId>> Libp2pSwarm::findProviders(
    kj::ArrayPtr<const kj::byte> multihash) {
  return thread.findProviders(multihash).then([](ffi::SwarmThread::Addresses addrs) {
    kj::Vector<PeerId> found;
    for (auto& addr: parseAll(addrs)) {
      KJ_IF_MAYBE(peer, addr.findPeer()) found.add(kj::mv(*peer));
    }
    return found.releaseAsArray();
  });
}

kj::Promise<kj::Duration> Libp2pSwarm::ping(const PeerId& wanted) {
  return thread.ping(wanted.asBytes());
}

void Libp2pSwarm::onListening(ffi::SwarmThread::Addresses addrs) {
  auto now = parseAll(addrs);
  for (auto& addr: now) {
    bool known = false;
    for (auto& other: listening) known |= other.asBytes() == addr.asBytes();
    if (!known) {
      logger.log(LogLevel::INFO, "listening", {{"address", addr.toText(id)}});
    }
  }
  listening.clear();
  for (auto& addr: now) listening.add(kj::mv(addr));
}

void Libp2pSwarm::onConnected(ffi::Bytes peer, ffi::SwarmThread::Addresses addrs) {
  KJ_IF_MAYBE(peerId, PeerId::parse(peer)) {
    auto name = peerId->toText();
    logger.log(LogLevel::DEBUG, "a peer is connected", {{"peer", kj::str(name)}});
    peers.upsert(kj::mv(name), Peer{kj::mv(*peerId), parseAll(addrs)});
  }
}

void Libp2pSwarm::onDisconnected(ffi::Bytes peer) {
  KJ_IF_MAYBE(peerId, PeerId::parse(peer)) {
    auto name = peerId->toText();
    logger.log(LogLevel::DEBUG, "a peer is gone", {{"peer", kj::str(name)}});
    peers.erase(name);
  }
}

void Libp2pSwarm::onStream(kj::StringPtr protocol, ffi::Bytes peer, kj::StringPtr from,
                           kj::Own<kj::AsyncIoStream> stream) {
  auto parsed = PeerId::parse(peer);
  KJ_IF_MAYBE(peerId, parsed) {
    KJ_IF_MAYBE(handler, handlers.find(protocol)) {
      (*handler)({kj::mv(*peerId), kj::str(from), kj::mv(stream)});
    }
  }
}

void Libp2pSwarm::onDirect(ffi::SwarmThread::Addresses addrs) {
  for (auto& addr: parseAll(addrs)) {
    logger.log(LogLevel::INFO, "serving RPC", {{"address", addr.toText(id)}});
  }
}

void Libp2pSwarm::onWarning(kj::StringPtr text) {
  logger.log(LogLevel::WARNING, "the network", {{"cause", kj::str(text)}});
}

}  // namespace ww
