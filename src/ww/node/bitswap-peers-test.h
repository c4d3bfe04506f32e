#pragma once
// Peers that bitswap is tried with: nodes, and peers that do what a test says.

#include <kj/test.h>
#include <string.h>
#include <ww/base/protobuf.h>
#include <ww/net/loopback-swarm.h>
#include <ww/node/bitswap.h>
#include <ww/node/temp-folder.h>

namespace ww {

using Message = BitswapMessage;

inline bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

inline kj::Array<kj::byte> block(kj::byte number, size_t size = 1000) {
  auto bytes = kj::heapArray<kj::byte>(size);
  memset(bytes.begin(), number, size);
  return bytes;
}
inline Cid cidOf(kj::byte number, size_t size = 1000) {
  return Cid::of(Cid::RAW, block(number, size));
}

// A message of so many entries of a wantlist, each of one content id, with its length.
inline kj::Array<kj::byte> wantlistOf(size_t count, kj::ArrayPtr<const kj::byte> cid, bool cancel) {
  ProtobufWriter entry, list, out;
  entry.add(1, cid);
  if (cancel) entry.add(3, uint64_t(1));
  for (size_t i = 0; i < count; i++) list.add(1, entry.getBytes());
  out.add(1, list.getBytes());
  kj::Vector<kj::byte> framed;
  addVarint(framed, out.getBytes().size());
  framed.addAll(out.getBytes());
  return framed.releaseAsArray();
}

struct World {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  LoopbackNetwork network;
  TempFolder folder;
  kj::uint nodes = 0;

  void pass(kj::Duration time) {
    timer.advanceTo(timer.now() + time);
    waitScope.poll();
  }

  // Turns the loop until nothing moves, and the clock until `promise` is done.
  template <typename T>
  kj::String outcome(kj::Promise<T> promise) {
    for (int i = 0; i < 100 && !promise.poll(waitScope); i++) {
      timer.advanceTo(timer.now() + 1 * kj::SECONDS);
    }
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { promise.wait(waitScope); })) {
      return kj::str(e->getDescription());
    }
    return kj::str("done");
  }
};

inline PeerId newId() { return PeerId(SecretKey::generate().getPublicKey()); }

struct TestNode {
  World& world;
  MemoryLogger logger;
  LoopbackSwarm swarm{world.network, newId()};
  ImageStore store{world.folder.at(kj::str("images", world.nodes++)), 64 << 20,
                   kj::systemCoarseCalendarClock(), logger};
  kj::Own<Bitswap> bitswap =
      kj::heap<Bitswap>(swarm, store, world.timer, logger, DialScope::ANYWHERE);
  kj::Own<BlockSource> source = bitswap->makeSource(true);

  explicit TestNode(World& world) : world(world) {}

  void addImage(kj::ArrayPtr<const kj::byte> bytes) {
    store.keep(Cid::of(Cid::RAW, bytes))->put(Cid::of(Cid::RAW, bytes), bytes);
  }
  void meet(Swarm& other) {
    swarm.connect(other.getPeerId(), other.getListenAddrs(), DialScope::ANYWHERE)
        .wait(world.waitScope);
  }
  bool gets(kj::byte number, size_t size = 1000) {
    auto fetched = source->fetch(cidOf(number, size));
    KJ_ASSERT(fetched.poll(world.waitScope), "waits for more than messages");
    return fetched.wait(world.waitScope) == block(number, size);
  }
  kj::String whyNot(kj::byte number) { return world.outcome(source->fetch(cidOf(number))); }
  kj::String getLog() const { return kj::strArray(logger.getLines(), ""); }
};

// A peer that does what a test says.
struct RawPeer {
  World& world;
  LoopbackSwarm swarm{world.network, newId()};
  kj::Vector<kj::Own<kj::AsyncIoStream>> opened;  // to it
  kj::Maybe<kj::Own<kj::AsyncIoStream>> own;      // by it

  explicit RawPeer(World& world) : world(world) {
    swarm.serve(BITSWAP, [this](PeerStream stream) { opened.add(kj::mv(stream.stream)); });
  }

  // What it is told next.
  Message next() {
    world.waitScope.poll();
    auto read = readBitswap(*opened.back(), []() { return size_t(1) << 20; });
    KJ_ASSERT(read.poll(world.waitScope));
    return Message::decode(KJ_ASSERT_NONNULL(read.wait(world.waitScope)));
  }
  bool hearsNothing() {
    world.waitScope.poll();
    if (opened.empty()) return true;
    return !readBitswap(*opened.back(), []() { return size_t(1) << 20; }).poll(world.waitScope);
  }
  // The blocks that it is asked for by now.
  kj::Vector<Cid> wantsHeard() {
    kj::Vector<Cid> cids;
    world.waitScope.poll();
    for (;;) {
      auto read = readBitswap(*opened.back(), []() { return size_t(1) << 20; });
      if (!read.poll(world.waitScope)) return cids;
      KJ_IF_MAYBE(bytes, read.wait(world.waitScope)) {
        for (auto& want: Message::decode(*bytes).wants) {
          if (!want.cancel && want.blockItself) cids.add(kj::mv(want.cid));
        }
      } else {
        return cids;
      }
    }
  }
  bool asksFor(const Cid& cid) {
    auto cids = wantsHeard();
    return cids.size() == 1 && cids[0] == cid;
  }
  static kj::Array<kj::byte> blockMessage(kj::ArrayPtr<const kj::byte> bytes) {
    Message message;
    message.blocks.add(Message::Block{Message::prefixOf(Cid::of(Cid::RAW, bytes)),
                                      kj::heapArray<const kj::byte>(bytes)});
    return message.encode();
  }
  // In ten pieces.
  void giveSlowly(TestNode& to, kj::ArrayPtr<const kj::byte> bytes, kj::Duration time) {
    auto message = blockMessage(bytes);
    for (size_t i = 0; i < 10; i++) {
      auto begin = message.size() * i / 10, end = message.size() * (i + 1) / 10;
      KJ_ASSERT(say(to, message.slice(begin, end)));
      world.pass(time / 10);
    }
  }
  // Whether all of it was read.
  bool say(TestNode& to, kj::ArrayPtr<const kj::byte> bytes) {
    if (own == nullptr) own = swarm.open(to.swarm.getPeerId(), BITSWAP).wait(world.waitScope);
    auto writing = KJ_ASSERT_NONNULL(own)->write(bytes.begin(), bytes.size())
        .then([]() { return true; }, [](kj::Exception&&) { return false; });
    return writing.poll(world.waitScope) && writing.wait(world.waitScope);
  }
  void say(TestNode& to, const Message& message) { KJ_ASSERT(say(to, message.encode())); }
  void want(TestNode& to, const Cid& cid, bool blockItself, bool sayIfNot = true) {
    Message message;
    message.wants.add(Message::Want{cid.clone(), false, blockItself, sayIfNot});
    say(to, message);
  }
  void give(TestNode& to, const Cid& as, kj::ArrayPtr<const kj::byte> bytes) {
    Message message;
    message.blocks.add(Message::Block{Message::prefixOf(as),
                                      kj::heapArray<const kj::byte>(bytes)});
    say(to, message);
  }
  void tell(TestNode& to, const Cid& cid, bool has) {
    Message message;
    message.presences.add(Message::Presence{cid.clone(), has});
    say(to, message);
  }
};

// The loopback swarm knows no way to a peer without an address: the DHT of the real one does.
struct FindingSwarm: public Swarm {
  LoopbackSwarm inner;
  kj::Vector<LoopbackSwarm*> known;
  kj::uint asked = 0, listed = 0;

  FindingSwarm(LoopbackNetwork& network) : inner(network, newId()) {}
  const PeerId& getPeerId() override { return inner.getPeerId(); }
  kj::Array<Multiaddr> getListenAddrs() override { return inner.getListenAddrs(); }
  kj::Array<Peer> getPeers() override {
    ++listed;
    return inner.getPeers();
  }
  bool isConnected(const PeerId& id) override { return inner.isConnected(id); }
  kj::Promise<void> connect(const PeerId& id, kj::ArrayPtr<const Multiaddr>,
                            DialScope scope) override {
    for (auto other: known) {
      if (other->getPeerId() == id) return inner.connect(id, other->getListenAddrs(), scope);
    }
    return KJ_EXCEPTION(FAILED, "no address is known");
  }
  kj::Promise<kj::Own<kj::AsyncIoStream>> open(const PeerId& id, kj::StringPtr p) override {
    return inner.open(id, p);
  }
  void serve(kj::StringPtr p, StreamHandler handler) override { inner.serve(p, kj::mv(handler)); }
  kj::Own<void> protect(const PeerId& id) override { return inner.protect(id); }
  kj::Promise<kj::Duration> ping(const PeerId& id) override { return inner.ping(id); }
  kj::Promise<kj::Array<PeerId>> findProviders(kj::ArrayPtr<const kj::byte> hash) override {
    ++asked;
    return inner.findProviders(hash);
  }
};

// One on which a stream is not opened.
struct HoldingSwarm final: public FindingSwarm {
  kj::Own<kj::PromiseFulfiller<kj::Own<kj::AsyncIoStream>>> opening;

  using FindingSwarm::FindingSwarm;
  kj::Promise<kj::Own<kj::AsyncIoStream>> open(const PeerId&, kj::StringPtr) override {
    auto pair = kj::newPromiseAndFulfiller<kj::Own<kj::AsyncIoStream>>();
    opening = kj::mv(pair.fulfiller);
    return kj::mv(pair.promise);
  }
};

}  // namespace ww
