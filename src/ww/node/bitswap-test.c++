// Blocks among peers: who is given what, who is asked, and what becomes of those that lie or stall.
#include <ww/node/bitswap.h>

#include <kj/test.h>
#include <string.h>
#include <ww/net/loopback-swarm.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

using Message = BitswapMessage;

bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

kj::Array<kj::byte> block(kj::byte number, size_t size = 1000) {
  auto bytes = kj::heapArray<kj::byte>(size);
  memset(bytes.begin(), number, size);
  return bytes;
}
Cid cidOf(kj::byte number, size_t size = 1000) { return Cid::of(Cid::RAW, block(number, size)); }

struct World {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  LoopbackNetwork network;
  TempFolder folder;
  kj::uint nodes = 0;

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

PeerId newId() { return PeerId(SecretKey::generate().getPublicKey()); }

struct TestNode {
  World& world;
  MemoryLogger logger;
  LoopbackSwarm swarm{world.network, newId()};
  ImageStore store{world.folder.at(kj::str("images", world.nodes++)), 64 << 20,
                   kj::systemCoarseCalendarClock(), logger};
  kj::Own<Bitswap> bitswap =
      kj::heap<Bitswap>(swarm, store, world.timer, logger, DialScope::ANYWHERE);
  kj::Own<BlockSource> source = bitswap->makeSource();

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

KJ_TEST("a message is read as it was written, and what is none is refused") {
  Message message;
  message.wants.add(Message::Want{cidOf(1), true, false, true});
  message.wants.add(Message::Want{cidOf(2), false, true, false});
  message.presences.add(Message::Presence{cidOf(3), true});
  message.presences.add(Message::Presence{cidOf(4), false});
  message.blocks.add(Message::Block{Message::prefixOf(cidOf(5)), block(5)});
  auto bytes = message.encode();
  size_t head = bytes[0] & 0x80 ? 2 : 1;
  auto read = Message::decode(bytes.slice(head, bytes.size()));
  KJ_EXPECT(read.wants.size() == 2 && read.presences.size() == 2 && read.blocks.size() == 1);
  KJ_EXPECT(read.wants[0].cancel && !read.wants[0].blockItself && read.wants[0].sayIfNot);
  KJ_EXPECT(!read.wants[1].cancel && read.wants[1].blockItself && !read.wants[1].sayIfNot);
  KJ_EXPECT(read.presences[0].has && !read.presences[1].has && read.presences[1].cid == cidOf(4));
  KJ_EXPECT(read.blocks[0].bytes == block(5));
  for (size_t cut = head; cut < bytes.size(); cut++) {
    kj::runCatchingExceptions([&]() { Message::decode(bytes.slice(head, cut)); });
  }
  auto v0 = Cid::parse("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG");
  const kj::byte prefix[] = {0, 0x70, 0x12, 0x20};
  KJ_EXPECT(Message::prefixOf(v0) == kj::ArrayPtr<const kj::byte>(prefix));
  KJ_EXPECT(Message::prefixOf(cidOf(1)).size() == 4);
}

KJ_TEST("a node gives the blocks of its images, of any size, to whoever is connected") {
  World world;
  TestNode a(world), b(world);
  a.addImage(block(1));
  a.addImage(block(2, MAX_BLOCK_BYTES));
  KJ_EXPECT(b.whyNot(1) == "no peer is connected that has any");
  b.meet(a.swarm);
  KJ_EXPECT(b.gets(1) && b.gets(2, MAX_BLOCK_BYTES));
  for (kj::byte i = 10; i < 60; i++) a.addImage(block(i));
  for (kj::byte i = 10; i < 60; i++) KJ_EXPECT(b.gets(i), i);
}

KJ_TEST("what no image has is not given, and that is said at once") {
  World world;
  TestNode a(world), b(world);
  a.store.put(cidOf(1), block(1));
  b.meet(a.swarm);
  auto fetched = b.source->fetch(cidOf(1));
  KJ_ASSERT(fetched.poll(world.waitScope));
  KJ_EXPECT_THROW_MESSAGE("none of the 1 that were asked has it", fetched.wait(world.waitScope));
}

KJ_TEST("many are asked, whoever has it gives it, and is asked first the next time") {
  World world;
  TestNode a(world), b(world);
  RawPeer mute(world), without(world);
  b.meet(mute.swarm);
  b.meet(without.swarm);
  b.meet(a.swarm);
  a.addImage(block(1));
  a.addImage(block(2));
  KJ_EXPECT(b.gets(1));
  KJ_EXPECT(!bool(mute.next().wants[0].blockItself));
  KJ_EXPECT(b.gets(2));
  KJ_EXPECT(mute.hearsNothing());
}

KJ_TEST("one that says that it has a block and does not send it is passed over, in its time") {
  World world;
  TestNode a(world), b(world);
  RawPeer slow(world);
  b.meet(slow.swarm);
  b.meet(a.swarm);
  auto fetched = b.source->fetch(cidOf(1));
  KJ_EXPECT(slow.next().wants[0].cid == cidOf(1));
  slow.tell(b, cidOf(1), true);
  KJ_EXPECT(bool(slow.next().wants[0].blockItself));
  KJ_EXPECT(!fetched.poll(world.waitScope));
  world.timer.advanceTo(world.timer.now() + Bitswap::BLOCK_TIME);
  KJ_EXPECT(world.outcome(kj::mv(fetched)) == "none of the 2 that were asked has it");
  KJ_EXPECT(bool(slow.next().wants[0].cancel));
}

KJ_TEST("one that says nothing at all is waited for, for a time") {
  World world;
  TestNode b(world);
  RawPeer mute(world);
  b.meet(mute.swarm);
  auto fetched = b.source->fetch(cidOf(1));
  KJ_EXPECT(!fetched.poll(world.waitScope));
  world.timer.advanceTo(world.timer.now() + Bitswap::ANSWER_TIME);
  KJ_EXPECT(fetched.poll(world.waitScope));
  KJ_EXPECT_THROW_MESSAGE("none of the 1", fetched.wait(world.waitScope));
}

KJ_TEST("one that sends another block than it is asked for is named, and asked no more") {
  World world;
  TestNode a(world), b(world);
  RawPeer liar(world);
  b.meet(liar.swarm);
  b.meet(a.swarm);
  a.addImage(block(2));
  auto fetched = b.source->fetch(cidOf(1));
  liar.next();
  liar.tell(b, cidOf(1), true);
  liar.next();
  liar.give(b, cidOf(1), block(9));
  KJ_EXPECT(fetched.poll(world.waitScope));
  KJ_EXPECT_THROW_MESSAGE("none of the 2", fetched.wait(world.waitScope));
  KJ_EXPECT(has(b.getLog(), "is not what it was asked for"), b.getLog());
  KJ_EXPECT(has(b.getLog(), liar.swarm.getPeerId().toText()));
  while (!liar.hearsNothing()) {}
  KJ_EXPECT(b.gets(2) && liar.hearsNothing());
}

KJ_TEST("a block that comes late, or that nobody asked for, is no lie, and is not kept") {
  World world;
  TestNode b(world);
  RawPeer peer(world);
  b.meet(peer.swarm);
  peer.give(b, cidOf(1), block(1));
  KJ_EXPECT(b.store.find(cidOf(1)) == nullptr && b.logger.getLines().size() == 0);
  auto fetched = b.source->fetch(cidOf(2));
  peer.next();
  peer.tell(b, cidOf(2), true);
  peer.next();
  peer.give(b, cidOf(2), block(2));
  KJ_EXPECT(fetched.wait(world.waitScope) == block(2));
  auto next = b.source->fetch(cidOf(3));
  KJ_EXPECT(peer.next().wants[0].cid == cidOf(3));
  peer.give(b, cidOf(2), block(2));  // once more
  peer.give(b, cidOf(3), block(3));
  KJ_EXPECT(next.wait(world.waitScope) == block(3));
  KJ_EXPECT(b.logger.getLines().size() == 0, b.getLog());
}

KJ_TEST("a peer that does not speak it is asked once") {
  World world;
  TestNode b(world);
  LoopbackSwarm plain(world.network, newId());
  b.meet(plain);
  KJ_EXPECT(b.whyNot(1) == "none of the 1 that were asked has it");
  KJ_EXPECT(b.whyNot(2) == "no peer is connected that has any");
}

KJ_TEST("what is wanted is answered by kind; a cancel takes back what was not sent yet") {
  World world;
  TestNode a(world);
  RawPeer peer(world);
  a.meet(peer.swarm);
  a.addImage(block(1));
  peer.want(a, cidOf(1), false);
  auto reply = peer.next();
  KJ_EXPECT(reply.presences.size() == 1 && reply.presences[0].has && reply.blocks.empty());
  peer.want(a, cidOf(2), false);
  KJ_EXPECT(!bool(peer.next().presences[0].has));
  peer.want(a, cidOf(2), true, false);
  KJ_EXPECT(peer.hearsNothing());
  peer.want(a, cidOf(1), true);
  KJ_EXPECT(peer.next().blocks[0].bytes == block(1));
}

KJ_TEST("a message that is too long, cut or none ends its stream, and nothing else") {
  World world;
  TestNode a(world);
  a.addImage(block(1));
  const kj::byte endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  const kj::byte nonsense[] = {3, 0xff, 0xff, 0xff};
  const kj::byte tooLong[] = {0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0};
  for (auto bytes: {kj::ArrayPtr<const kj::byte>(endless), kj::ArrayPtr<const kj::byte>(tooLong),
                    kj::ArrayPtr<const kj::byte>(nonsense)}) {
    RawPeer peer(world);
    a.meet(peer.swarm);
    peer.say(a, bytes);
    KJ_EXPECT(!peer.say(a, bytes));
    peer.own = nullptr;
    peer.want(a, cidOf(1), true);
    KJ_EXPECT(peer.next().blocks[0].bytes == block(1));
  }
}

KJ_TEST("a message as long as a block is taken from who is asked for one, and from nobody else") {
  World world;
  TestNode b(world);
  RawPeer peer(world);
  b.meet(peer.swarm);
  auto large = block(1, MAX_BLOCK_BYTES);
  Message message;
  message.blocks.add(Message::Block{Message::prefixOf(cidOf(1)), kj::mv(large)});
  auto bytes = message.encode();
  KJ_EXPECT(!peer.say(b, bytes));
  peer.own = nullptr;
  auto fetched = b.source->fetch(cidOf(1, MAX_BLOCK_BYTES));
  peer.next();
  peer.tell(b, cidOf(1, MAX_BLOCK_BYTES), true);
  peer.next();
  KJ_EXPECT(peer.say(b, bytes));
  KJ_EXPECT(fetched.wait(world.waitScope).size() == MAX_BLOCK_BYTES);
}

KJ_TEST("a peer has so many streams; one that does not read is given up") {
  World world;
  TestNode a(world);
  RawPeer peer(world);
  a.meet(peer.swarm);
  a.addImage(block(1));
  kj::Vector<kj::Own<kj::AsyncIoStream>> streams;
  kj::uint open = 0;
  for (kj::uint i = 0; i < Bitswap::MAX_STREAMS + 3; i++) {
    streams.add(peer.swarm.open(a.swarm.getPeerId(), BITSWAP).wait(world.waitScope));
    open += !streams.back()->whenWriteDisconnected().poll(world.waitScope);
  }
  KJ_EXPECT(open == Bitswap::MAX_STREAMS);
  streams.clear();
  world.waitScope.poll();
  for (kj::uint i = 0; i < 3 * Bitswap::MAX_WAITING; i++) peer.want(a, cidOf(1), true);
  KJ_EXPECT(peer.opened.size() == 1);
  world.timer.advanceTo(world.timer.now() + Bitswap::SEND_TIME);
  world.waitScope.poll();
  KJ_EXPECT(!peer.hearsNothing());  // the end of that stream
  peer.want(a, cidOf(1), true);
  world.waitScope.poll();
  KJ_EXPECT(peer.opened.size() == 2 && peer.next().blocks[0].bytes == block(1));
}

// The loopback swarm knows no way to a peer without an address: the DHT of the real one does.
struct FindingSwarm final: public Swarm {
  LoopbackSwarm inner;
  kj::Vector<LoopbackSwarm*> known;
  kj::uint asked = 0;

  FindingSwarm(LoopbackNetwork& network) : inner(network, newId()) {}
  const PeerId& getPeerId() override { return inner.getPeerId(); }
  kj::Array<Multiaddr> getListenAddrs() override { return inner.getListenAddrs(); }
  kj::Array<Peer> getPeers() override { return inner.getPeers(); }
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

KJ_TEST("where no peer that is connected has it, those are dialled that say so in the DHT") {
  World world;
  TestNode a(world), gone(world);
  FindingSwarm swarm(world.network);
  MemoryLogger logger;
  ImageStore store(world.folder.at("own"), 64 << 20, kj::systemCoarseCalendarClock(), logger);
  Bitswap bitswap(swarm, store, world.timer, logger, DialScope::ANYWHERE);
  auto source = bitswap.makeSource();
  a.addImage(block(1));
  a.addImage(block(2));
  gone.bitswap->provide(cidOf(1));  // whose address nobody knows
  a.bitswap->provide(cidOf(1));
  swarm.known.add(&a.swarm);
  KJ_EXPECT(source->fetch(cidOf(1)).wait(world.waitScope) == block(1));
  KJ_EXPECT(source->fetch(cidOf(2)).wait(world.waitScope) == block(2));  // from the same
  KJ_EXPECT(swarm.asked == 1);
}

}  // namespace
}  // namespace ww
