#pragma once
// The node's peers. An interface, so that the rest of the node does not know whether there is a
// network at all: NoNetwork is a node on its own, LoopbackSwarm joins nodes of one process.
//
// Lives on the node's event loop. Addresses are multiaddrs, peer ids are libp2p's, both binary.

#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/time.h>
#include <ww/net/multiaddr.h>
#include <ww/net/peer-id.h>

namespace ww {

struct Peer {
  PeerId id;
  kj::Array<Multiaddr> addrs;
};

// Whose dial it is. What a cell asks for reaches public addresses only, after names are resolved.
enum class DialScope { PUBLIC, ANYWHERE };

// A stream that a peer opened.
struct PeerStream {
  PeerId peer;      // authenticated
  kj::String from;  // its address, for a person
  kj::Own<kj::AsyncIoStream> stream;
};

class Swarm {
 public:
  using StreamHandler = kj::Function<void(PeerStream)>;

  virtual ~Swarm() noexcept(false) {}

  virtual const PeerId& getPeerId() = 0;

  // What it really listens on.
  virtual kj::Array<Multiaddr> getListenAddrs() = 0;

  // Those connected now.
  virtual kj::Array<Peer> getPeers() = 0;
  virtual bool isConnected(const PeerId& id) = 0;

  // Resolves once connected to the peer with this id, at once if it is. Tries the given addresses
  // and those known; within PUBLIC, none that is private (Multiaddr::findPrivateRange). Rejects
  // with every address and what was wrong with it. Dropping the promise gives the attempt up.
  // Copies what it is given.
  virtual kj::Promise<void> connect(const PeerId& id, kj::ArrayPtr<const Multiaddr> addrs,
                                    DialScope scope) = 0;

  // Opens a stream on a protocol to a connected peer. Rejects with DISCONNECTED without a
  // connection, UNIMPLEMENTED where the peer does not speak it. Streams may outlive the swarm, and
  // are disconnected then. That a stream ended proves nothing about its being complete.
  virtual kj::Promise<kj::Own<kj::AsyncIoStream>> open(const PeerId& id,
                                                       kj::StringPtr protocol) = 0;

  // From now on has `handler` called with every stream that a peer opens on this protocol. Once a
  // protocol, before the loop turns for the first time. `protocol` is a literal; what the handler
  // refers to outlives the swarm.
  virtual void serve(kj::StringPtr protocol, StreamHandler handler) = 0;

  // While it is held, the peer's connections make room for no others. Others do, where strangers
  // crowd a node. Not to outlive the swarm.
  virtual kj::Own<void> protect(const PeerId& id) = 0;

  // Who says in the DHT that it has the content with this multihash: some, and anybody can say it.
  // Resolves to none where there is no DHT.
  virtual kj::Promise<kj::Array<PeerId>> findProviders(kj::ArrayPtr<const kj::byte> multihash) {
    return kj::Array<PeerId>();
  }

  // Says there, for as long as this lives, that this node has it.
  virtual void provide(kj::ArrayPtr<const kj::byte> multihash) {}

  // The time to a connected peer and back. Rejects if it is not connected or does not answer.
  virtual kj::Promise<kj::Duration> ping(const PeerId& id) = 0;
};

// A node on its own: it listens nowhere, and every connect fails, saying so.
class NoNetwork final: public Swarm {
 public:
  explicit NoNetwork(PeerId id): id(kj::mv(id)) {}

  const PeerId& getPeerId() override { return id; }
  kj::Array<Multiaddr> getListenAddrs() override { return nullptr; }
  kj::Array<Peer> getPeers() override { return nullptr; }
  bool isConnected(const PeerId&) override { return false; }
  kj::Promise<void> connect(const PeerId& peer, kj::ArrayPtr<const Multiaddr> addrs,
                            DialScope scope) override;
  kj::Promise<kj::Own<kj::AsyncIoStream>> open(const PeerId& peer, kj::StringPtr) override;
  void serve(kj::StringPtr, StreamHandler) override {}
  kj::Own<void> protect(const PeerId&) override { return kj::Own<void>(); }
  kj::Promise<kj::Duration> ping(const PeerId& peer) override;

 private:
  PeerId id;
};

}  // namespace ww
