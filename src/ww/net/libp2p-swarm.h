#pragma once
// The real network: a Swarm over libp2p. TCP and QUIC, Noise and TLS, Yamux, identify, ping,
// Kademlia, mDNS, AutoNAT, relays and hole punching; docs/network.md has a table of the limits that
// hold, and where each stands.

#include <kj/timer.h>
#include <ww/base/log.h>
#include <ww/ffi/swarm-thread.h>
#include <ww/net/identity.h>
#include <ww/net/swarm.h>

namespace ww {

using ffi::DhtMode;

struct Libp2pOptions {
  kj::Array<Multiaddr> listen;
  kj::Array<Multiaddr> bootstrap;      // each ends in /p2p/ID
  kj::Array<kj::StringPtr> protocols;  // literals: those that serve() will be called for
  kj::Array<kj::byte> privateNetwork;  // a key of 32 bytes, or empty
  kj::Duration dialTimeout = 10 * kj::SECONDS;
  DhtMode dht = DhtMode::AUTO;
  bool mdns = true;
  bool dialPrivate = false;            // peers, too, may have private addresses dialled
  bool network = true;                 // else it has no peers: direct links are all there is
  kj::Array<Multiaddr> direct;         // /ip…/tcp/…: where direct links are served
};

// The address that a person wrote, or what is wrong with it.
kj::OneOf<Multiaddr, kj::String> parseMultiaddrText(kj::StringPtr text);

class Libp2pSwarm final: public Swarm, private ffi::SwarmThread::Observer {
 public:
  // Listens before it returns; throws, naming the address, if it cannot. References outlive it.
  Libp2pSwarm(const Identity& identity, Libp2pOptions options, kj::Timer& timer,
              kj::UnixEventPort& port, Logger& logger);
  KJ_DISALLOW_COPY_AND_MOVE(Libp2pSwarm);

  const PeerId& getPeerId() override { return id; }
  kj::Array<Multiaddr> getListenAddrs() override;
  kj::Array<Peer> getPeers() override;
  bool isConnected(const PeerId& id) override;
  kj::Promise<void> connect(const PeerId& id, kj::ArrayPtr<const Multiaddr> addrs,
                            DialScope scope) override;
  kj::Promise<kj::Own<kj::AsyncIoStream>> open(const PeerId& id, kj::StringPtr protocol) override;
  void serve(kj::StringPtr protocol, StreamHandler handler) override;
  kj::Own<void> protect(const PeerId& id) override { return thread.protect(id.asBytes()); }
  kj::Promise<kj::Duration> ping(const PeerId& id) override;
  kj::Promise<kj::Array<PeerId>> findProviders(kj::ArrayPtr<const kj::byte> multihash) override;
  void provide(kj::ArrayPtr<const kj::byte> multihash) override { thread.provide(multihash); }

  // A stream to a peer at these addresses, or at those known: over libp2p or, where the peer is
  // there but leaves when it is to share its connection among streams, over a direct link.
  kj::Promise<kj::Own<kj::AsyncIoStream>> reach(PeerId id, kj::Array<Multiaddr> addrs,
                                                kj::StringPtr protocol);

  // Resolves once an address of the peer is known, from mDNS say.
  kj::Promise<void> find(const PeerId& id) { return thread.find(id.asBytes()); }

 private:
  void onListening(ffi::SwarmThread::Addresses addrs) override;
  void onConnected(ffi::Bytes peer, ffi::SwarmThread::Addresses addrs) override;
  void onDisconnected(ffi::Bytes peer) override;
  void onStream(kj::StringPtr protocol, ffi::Bytes peer, kj::StringPtr from,
                kj::Own<kj::AsyncIoStream> stream) override;
  void onDirect(ffi::SwarmThread::Addresses addrs) override;
  void onWarning(kj::StringPtr text) override;

  // As connect(). DISCONNECTED: the peer was there, and left before it said anything.
  kj::Promise<void> meet(const PeerId& id, kj::ArrayPtr<const Multiaddr> addrs, DialScope scope);
  kj::Promise<void> resolveAndDial(PeerId id, kj::Array<Multiaddr> addrs, DialScope scope);

  const PeerId id;
  const kj::Duration dialTimeout;
  kj::Timer& timer;
  Logger& logger;
  kj::Vector<Multiaddr> listening;
  kj::HashMap<kj::String, Peer> peers;  // those connected, by their id in text
  kj::HashMap<kj::StringPtr, StreamHandler> handlers;
  ffi::SwarmThread thread;
};

}  // namespace ww
