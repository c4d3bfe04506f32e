#include <ww/net/loopback-swarm.h>

#include <kj/debug.h>
#include <ww/base/error.h>

namespace ww {

LoopbackSwarm::LoopbackSwarm(LoopbackNetwork& network, PeerId id)
    : network(network), id(kj::mv(id)), address(network.nextAddress++) {
  network.listeners.insert(address, this);
}

LoopbackSwarm::~LoopbackSwarm() noexcept(false) {
  network.listeners.erase(address);
  for (auto peer: connected) {
    kj::Vector<LoopbackSwarm*> others;
    for (auto other: peer->connected) {
      if (other != this) others.add(other);
    }
    peer->connected = kj::mv(others);
  }
}

kj::Array<Multiaddr> LoopbackSwarm::getListenAddrs() {
  auto addrs = kj::heapArrayBuilder<Multiaddr>(1);
  addrs.add(Multiaddr::memory(address));
  return addrs.finish();
}

kj::Array<Peer> LoopbackSwarm::getPeers() {
  auto peers = kj::heapArrayBuilder<Peer>(connected.size());
  for (auto peer: connected) peers.add(Peer{peer->id.clone(), peer->getListenAddrs()});
  return peers.finish();
}

kj::Maybe<LoopbackSwarm&> LoopbackSwarm::findPeer(const PeerId& wanted) {
  for (auto peer: connected) {
    if (peer->id == wanted) return *peer;
  }
  return nullptr;
}

bool LoopbackSwarm::isConnected(const PeerId& wanted) { return findPeer(wanted) != nullptr; }

kj::Promise<void> LoopbackSwarm::connect(const PeerId& wanted,
                                         kj::ArrayPtr<const Multiaddr> addrs, DialScope) {
  // Not before the next turn: as on a network, the caller sees the world change under it.
  return kj::evalLater([this, wanted = wanted.clone(),
                        addrs = KJ_MAP(a, addrs) { return a.clone(); }]() {
    if (isConnected(wanted)) return;
    kj::Vector<kj::String> failures;
    for (auto& addr: addrs) {
      auto failure = dial(wanted, addr);
      if (failure.size() == 0) return;
      failures.add(kj::str(addr.toText(), ": ", failure));
    }
    auto why = failures.empty() ? kj::str("no address is known") : kj::strArray(failures, "; ");
    kj::throwFatalException(badInput(kj::str("cannot connect to ", wanted.toText(), ": ", why)));
  });
}

// Nothing, or why not.
kj::String LoopbackSwarm::dial(const PeerId& wanted, const Multiaddr& addr) {
  ++dials;
  KJ_IF_MAYBE(number, addr.findMemory()) {
    KJ_IF_MAYBE(listener, network.listeners.find(*number)) {
      auto& peer = **listener;
      if (!(peer.id == wanted)) return kj::str("another peer answers there: ", peer.id.toText());
      connected.add(&peer);
      peer.connected.add(this);
      return kj::String();
    }
    return kj::str("nobody listens there");
  }
  return kj::str("not an address of this process (/memory/N)");
}

kj::Promise<kj::Own<kj::AsyncIoStream>> LoopbackSwarm::open(const PeerId& wanted,
                                                            kj::StringPtr protocol) {
  KJ_IF_MAYBE(peer, findPeer(wanted)) {
    KJ_IF_MAYBE(handler, peer->handlers.find(protocol)) {
      auto pipe = kj::newTwoWayPipe();
      (*handler)({id.clone(), Multiaddr::memory(address).toText(), kj::mv(pipe.ends[1])});
      return kj::mv(pipe.ends[0]);
    }
    return KJ_EXCEPTION(UNIMPLEMENTED, "the peer does not speak this protocol", protocol);
  }
  return KJ_EXCEPTION(DISCONNECTED, "not connected", wanted.toText());
}

void LoopbackSwarm::serve(kj::StringPtr protocol, StreamHandler handler) {
  handlers.insert(protocol, kj::mv(handler));
}

kj::Own<void> LoopbackSwarm::protect(const PeerId&) {
  ++protections;
  return kj::heap(kj::defer([this]() { --protections; }));
}

kj::Promise<kj::Array<PeerId>> LoopbackSwarm::findProviders(
    kj::ArrayPtr<const kj::byte> multihash) {
  kj::Vector<PeerId> found;
  for (auto& entry: network.provided) {
    if (entry.multihash == multihash) found.add(entry.peer.clone());
  }
  return found.releaseAsArray();
}

void LoopbackSwarm::provide(kj::ArrayPtr<const kj::byte> multihash) {
  network.provided.add(LoopbackNetwork::Provided{kj::heapArray<kj::byte>(multihash), id.clone()});
}

kj::Promise<kj::Duration> LoopbackSwarm::ping(const PeerId& wanted) {
  if (!isConnected(wanted)) return KJ_EXCEPTION(DISCONNECTED, "not connected", wanted.toText());
  return 0 * kj::NANOSECONDS;
}

}  // namespace ww
