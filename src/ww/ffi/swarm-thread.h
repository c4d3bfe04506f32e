#pragma once
// libp2p, as one event loop sees it: a thread of its own runs the swarm, commands go to it, and
// what it has to say comes back in batches, one ring of a doorbell each. Streams are polled by the
// loop's own thread: see swarm-stream.h.
//
// Peer ids and multiaddrs are in their binary forms. Lives on one event loop; streams may outlive
// it, and are disconnected then.

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/map.h>
#include <kj/mutex.h>
#include <kj/time.h>

struct WwSwarm;
struct WwSwarmEvent;
struct WwSlice;

namespace ww::ffi {

using Bytes = kj::ArrayPtr<const kj::byte>;

class SwarmStream;

// Of the Kademlia DHT. AUTO: a server once an address of ours is known to be reachable.
enum class DhtMode : uint32_t { AUTO, CLIENT, SERVER };

struct SwarmOptions {
  kj::Array<kj::byte> identity;             // libp2p's PrivateKey message
  kj::String agent;                         // what identify tells
  kj::Array<kj::Array<kj::byte>> listen;    // multiaddrs
  kj::Array<kj::Array<kj::byte>> bootstrap; // likewise; each ends in /p2p/ID
  kj::Array<kj::StringPtr> protocols;       // of streams that peers may open
  kj::Array<kj::byte> privateNetwork;       // 32 bytes that all of its peers share, or none
  kj::Duration dialTimeout = 10 * kj::SECONDS;  // of each connection's handshakes
  DhtMode dht = DhtMode::AUTO;
  bool mdns = true;
  bool dialPrivate = false;                 // what peers ask to have dialled, too
  // Whether an address is not on the public internet. Any thread.
  bool (*isPrivate)(kj::ArrayPtr<const kj::byte> addr) noexcept = nullptr;
  bool network = true;                      // else direct links are all there is
  kj::Array<kj::Array<kj::byte>> direct;    // /ip…/tcp/…: where direct links are served
};

// The address that a person wrote, or what is wrong with it.
kj::OneOf<kj::Array<kj::byte>, kj::String> parseMultiaddr(kj::StringPtr text);

class SwarmThread final {
 public:
  using Addresses = kj::Array<kj::Array<kj::byte>>;

  // What happens unasked. Called from an event of the loop.
  class Observer {
   public:
    virtual void onListening(Addresses addrs) = 0;                // all of them, each time
    virtual void onConnected(Bytes peer, Addresses addrs) = 0;    // or its addresses changed
    virtual void onDisconnected(Bytes peer) = 0;
    virtual void onStream(kj::StringPtr protocol, Bytes peer, kj::StringPtr from,
                          kj::Own<kj::AsyncIoStream> stream) = 0;
    virtual void onDirect(Addresses addrs) = 0;  // they are served there; once
    virtual void onWarning(kj::StringPtr text) = 0;
  };

  // Waits until the swarm listens; throws, naming the address, if it cannot. The observer outlives
  // it.
  SwarmThread(const SwarmOptions& options, Observer& observer, kj::UnixEventPort& port);
  ~SwarmThread() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(SwarmThread);

  // Where a dial could go: the given addresses and those known, names resolved; without any, those
  // that the DHT finds. `failures` says which names stand for nothing.
  struct Resolved {
    Addresses addrs;
    kj::String failures;
  };
  kj::Promise<Resolved> resolve(Bytes peer, kj::ArrayPtr<const Bytes> addrs);

  // Resolves once the peer has said something. Rejects with every address and its reason.
  kj::Promise<void> dial(Bytes peer, kj::ArrayPtr<const Bytes> addrs);

  kj::Promise<kj::Own<kj::AsyncIoStream>> open(Bytes peer, kj::StringPtr protocol);
  kj::Promise<kj::Duration> ping(Bytes peer);

  // While it is held, none of this peer's connections makes room for others. Not to outlive the
  // thread.
  kj::Own<void> protect(Bytes peer);

  // Resolves once an address of the peer is known: at once, or when somebody tells one.
  kj::Promise<void> find(Bytes peer);

  // Who says in the DHT that it has what has this multihash: some, each as /p2p/ID.
  kj::Promise<Addresses> findProviders(Bytes multihash);

  // Says there, from now on, that this node has it.
  void provide(Bytes multihash);

  // A stream that is a connection of its own to one of these addresses. Rejects with every address
  // and its reason.
  kj::Promise<kj::Own<kj::AsyncIoStream>> openDirect(Bytes peer, kj::ArrayPtr<const Bytes> addrs,
                                                     kj::StringPtr protocol);

 private:
  friend class SwarmStream;
  class Operation;

  static void ring(void* hub) noexcept;
  static bool isPrivateAddr(void* hub, WwSlice addr) noexcept;
  kj::Promise<void> onRing();
  kj::Promise<void> drain();
  kj::Promise<void> watch(kj::UnixEventPort& port);
  void handleSome();
  void flushSoon();  // what one turn of the loop submits goes at once
  void handle(WwSwarmEvent& event);
  void finish(WwSwarmEvent& event);
  kj::Own<kj::AsyncIoStream> wrap(WwSwarmEvent& event);

  Observer& observer;
  bool (*const isPrivate)(Bytes addr) noexcept;
  kj::MutexGuarded<kj::Maybe<kj::Own<kj::CrossThreadPromiseFulfiller<void>>>> doorbell;
  kj::HashMap<uint64_t, SwarmStream*> streams;
  kj::HashMap<uint64_t, Operation*> operations;
  uint64_t nextOperation = 1;
  WwSwarm* raw = nullptr;
  kj::Promise<void> draining = nullptr;
  kj::Promise<void> watching = nullptr;
  kj::Promise<void> flushing = nullptr;
  bool mustFlush = false;
};

}  // namespace ww::ffi
