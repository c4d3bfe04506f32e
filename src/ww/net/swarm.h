#pragma once
// The node's peers. An interface, so that the rest of the node does not know whether there is a
// network at all: NoNetwork is a node on its own, LoopbackSwarm joins nodes of one process.
//
// Lives on the node's event loop. Addresses are multiaddrs, peer ids are libp2p's, both binary.

#include <kj/async.h>
#include <ww/net/multiaddr.h>
#include <ww/net/peer-id.h>

namespace ww {

struct Peer {
  PeerId id;
  kj::Array<Multiaddr> addrs;
};

class Swarm {
 public:
  virtual ~Swarm() noexcept(false) {}

  virtual const PeerId& getPeerId() = 0;

  // What it really listens on.
  virtual kj::Array<Multiaddr> getListenAddrs() = 0;

  // Those connected now.
  virtual kj::Array<Peer> getPeers() = 0;
  virtual bool isConnected(const PeerId& id) = 0;

  // Resolves once connected to the peer with this id, at once if it is. Tries the given addresses
  // and those known. Rejects with every address and what was wrong with it. Dropping the promise
  // gives the attempt up. Copies what it is given.
  virtual kj::Promise<void> connect(const PeerId& id, kj::ArrayPtr<const Multiaddr> addrs) = 0;
};

// A node on its own: it listens nowhere, and every connect fails, saying so.
class NoNetwork final: public Swarm {
 public:
  explicit NoNetwork(PeerId id): id(kj::mv(id)) {}

  const PeerId& getPeerId() override { return id; }
  kj::Array<Multiaddr> getListenAddrs() override { return nullptr; }
  kj::Array<Peer> getPeers() override { return nullptr; }
  bool isConnected(const PeerId&) override { return false; }
  kj::Promise<void> connect(const PeerId& peer, kj::ArrayPtr<const Multiaddr> addrs) override;

 private:
  PeerId id;
};

}  // namespace ww
