#pragma once
// Nodes of one process, joined without a socket: for tests, and for anything that wants peers
// without a network. A node listens on /memory/N; a dial succeeds when somebody with the right peer
// id listens there.

#include <kj/map.h>
#include <ww/net/swarm.h>

namespace ww {

class LoopbackSwarm;

// The medium. Outlives its swarms. One event loop.
class LoopbackNetwork final {
 public:
  LoopbackNetwork() = default;
  KJ_DISALLOW_COPY_AND_MOVE(LoopbackNetwork);

 private:
  friend class LoopbackSwarm;
  uint64_t nextAddress = 1;
  kj::HashMap<uint64_t, LoopbackSwarm*> listeners;
  struct Provided {
    kj::Array<kj::byte> multihash;
    PeerId peer;
  };
  kj::Vector<Provided> provided;
};

class LoopbackSwarm final: public Swarm {
 public:
  LoopbackSwarm(LoopbackNetwork& network, PeerId id);
  ~LoopbackSwarm() noexcept(false);  // its connections end
  KJ_DISALLOW_COPY_AND_MOVE(LoopbackSwarm);

  const PeerId& getPeerId() override { return id; }
  kj::Array<Multiaddr> getListenAddrs() override;
  kj::Array<Peer> getPeers() override;
  bool isConnected(const PeerId& id) override;
  kj::Promise<void> connect(const PeerId& id, kj::ArrayPtr<const Multiaddr> addrs,
                            DialScope scope) override;  // a place in memory is within either
  kj::Promise<kj::Own<kj::AsyncIoStream>> open(const PeerId& id, kj::StringPtr protocol) override;
  void serve(kj::StringPtr protocol, StreamHandler handler) override;
  kj::Own<void> protect(const PeerId& id) override;
  kj::Promise<kj::Array<PeerId>> findProviders(kj::ArrayPtr<const kj::byte> multihash) override;
  void provide(kj::ArrayPtr<const kj::byte> multihash) override;
  kj::Promise<kj::Duration> ping(const PeerId& id) override;

  // How many dials came to their end, well or not.
  kj::uint dialCount() const { return dials; }

  // How often protect() holds, of all peers.
  kj::uint protectedCount() const { return protections; }

 private:
  kj::Maybe<LoopbackSwarm&> findPeer(const PeerId& id);
  kj::String dial(const PeerId& id, const Multiaddr& addr);

  LoopbackNetwork& network;
  const PeerId id;
  const uint64_t address;
  kj::uint dials = 0;
  kj::uint protections = 0;
  kj::Vector<LoopbackSwarm*> connected;
  kj::HashMap<kj::StringPtr, StreamHandler> handlers;
};

}  // namespace ww
