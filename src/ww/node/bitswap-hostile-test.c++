// Peers that lie, stall, flood or crowd, and what becomes of them.
#include <ww/node/bitswap-peers-test.h>

namespace ww {
namespace {

KJ_TEST("one that is late time and again is asked no more") {
  World world;
  TestNode b(world);
  RawPeer slow(world);
  b.meet(slow.swarm);
  kj::uint failures = 0;
  for (; failures < 20 && b.whyNot(failures) != "no peer is connected that has any"; failures++) {}
  KJ_EXPECT(failures == Bitswap::MAX_LATE + 1, failures);
}

// Of a link on which a block takes longer than nothing may come.
KJ_TEST("a peer has as long for a block as it goes on sending, and few to send at once") {
  World world;
  TestNode b(world);
  RawPeer slow(world);
  b.meet(slow.swarm);
  auto first = b.source->fetch(cidOf(100));
  slow.next();
  slow.give(b, cidOf(100), block(100));
  KJ_EXPECT(first.wait(world.waitScope) == block(100));
  constexpr kj::byte COUNT = 8;
  constexpr size_t SIZE = 512 << 10;
  kj::Vector<kj::Promise<kj::Array<const kj::byte>>> fetched;
  for (kj::byte i = 0; i < COUNT; i++) {
    fetched.add(b.source->fetch(cidOf(i, SIZE)));
  }
  std::deque<Cid> asked;
  for (kj::byte given = 0; given < COUNT; given++) {
    for (auto& cid: slow.wantsHeard()) asked.push_back(cid.clone());
    KJ_ASSERT(asked.size() == kj::min(Bitswap::MAX_IN_FLIGHT, kj::uint(COUNT - given)));
    for (kj::byte i = 0; i < COUNT; i++) {
      if (!(cidOf(i, SIZE) == asked.front())) continue;
      slow.giveSlowly(b, block(i, SIZE), 4 * Bitswap::BLOCK_TIME);
    }
    asked.pop_front();
  }
  for (kj::byte i = 0; i < COUNT; i++) {
    KJ_ASSERT(fetched[i].poll(world.waitScope), i);
    KJ_EXPECT(fetched[i].wait(world.waitScope) == block(i, SIZE));
  }
}

KJ_TEST("a byte now and then buys no time") {
  World world;
  TestNode b(world);
  RawPeer slow(world);
  b.meet(slow.swarm);
  auto fetched = b.source->fetch(cidOf(1));
  slow.next();
  slow.tell(b, cidOf(1), true);
  slow.next();
  auto bytes = slow.blockMessage(block(1));
  for (size_t i = 0; i < 3; i++) {
    slow.say(b, bytes.slice(i, i + 1));
    KJ_EXPECT(!fetched.poll(world.waitScope));
    world.pass(Bitswap::BLOCK_TIME / 2);
  }
  KJ_EXPECT(bool(slow.next().wants[0].cancel));
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

KJ_TEST("what of a message is looked at is counted, whatever it is; what is none ends its stream") {
  auto decode = [](kj::ArrayPtr<const kj::byte> framed) {
    takeVarint(framed);
    return Message::decode(framed);
  };
  const kj::byte none[] = {0}, cut[] = {0xff};
  KJ_EXPECT_THROW_MESSAGE("is none", decode(wantlistOf(26'000, none, false)));
  KJ_EXPECT_THROW_MESSAGE("it ends within", decode(wantlistOf(26'000, cut, false)));
  // Of SHA-512: well-formed, and nothing that is here.
  kj::byte foreign[4 + 64] = {1, 0x55, 0x13, 64};
  KJ_EXPECT(decode(wantlistOf(10, foreign, false)).wants.size() == 0);
  auto list = [&](size_t others) {
    kj::Vector<kj::byte> both;
    for (auto& one: {wantlistOf(others, foreign, false),
                     wantlistOf(1, cidOf(1).getBytes(), false)}) {
      kj::ArrayPtr<const kj::byte> rest = one;
      takeVarint(rest);
      both.addAll(rest);
    }
    return Message::decode(both).wants.size();
  };
  KJ_EXPECT(list(MAX_BITSWAP_ENTRIES - 1) == 1);
  KJ_EXPECT(list(MAX_BITSWAP_ENTRIES) == 0);
  World world;
  TestNode a(world);
  RawPeer peer(world);
  a.meet(peer.swarm);
  a.addImage(block(1));
  peer.say(a, wantlistOf(20'000, none, false));
  KJ_EXPECT(!peer.say(a, wantlistOf(1, none, false)));
  peer.own = nullptr;
  KJ_EXPECT(peer.say(a, wantlistOf(10, foreign, false)));
  peer.want(a, cidOf(1), true);
  KJ_EXPECT(peer.next().blocks[0].bytes == block(1));
}

KJ_TEST("who asks more than its part of a second is read later, over a new stream too") {
  World world;
  TestNode a(world);
  RawPeer greedy(world), other(world);
  a.meet(greedy.swarm);
  a.meet(other.swarm);
  a.addImage(block(1));
  constexpr size_t QUESTIONS = 1000;
  auto message = wantlistOf(QUESTIONS, cidOf(1).getBytes(), true);
  auto most = Bitswap::PEER_BYTES_PER_SECOND / (QUESTIONS * Bitswap::QUESTION_BYTES) + 1;
  size_t read = 0;
  while (read <= most && greedy.say(a, message)) ++read;
  KJ_EXPECT(read > 1 && read <= most, read, most);
  greedy.own = nullptr;
  KJ_EXPECT(!greedy.say(a, message));
  other.want(a, cidOf(1), true);
  KJ_EXPECT(other.next().blocks[0].bytes == block(1));
  greedy.own = nullptr;
  world.pass(1 * kj::SECONDS);
  KJ_EXPECT(greedy.say(a, message));
}

// A crowd of peers that have a stream of their own, as many as are served.
struct Crowd {
  World& world;
  TestNode& node;
  kj::Vector<kj::Own<RawPeer>> peers;

  Crowd(World& world, TestNode& node): world(world), node(node) { more(Bitswap::MAX_SERVED); }
  void more(kj::uint count) {
    for (auto i: kj::zeroTo(count)) {
      (void)i;
      auto& peer = *peers.add(kj::heap<RawPeer>(world));
      node.meet(peer.swarm);
      KJ_ASSERT(peer.say(node, nullptr));
    }
  }
  bool isServed(RawPeer& peer) {
    return !KJ_ASSERT_NONNULL(peer.own)->whenWriteDisconnected().poll(world.waitScope);
  }
  kj::uint countServed() {
    kj::uint count = 0;
    for (auto& peer: peers) count += isServed(*peer);
    return count;
  }
};

KJ_TEST("who has been silent longest makes room for who comes, and in the end for nobody") {
  World world;
  TestNode a(world);
  a.addImage(block(1));
  Crowd crowd(world, a);
  RawPeer honest(world);
  a.meet(honest.swarm);
  KJ_EXPECT(crowd.countServed() == Bitswap::MAX_SERVED);
  KJ_ASSERT(crowd.peers[0]->say(a, wantlistOf(1, cidOf(1).getBytes(), true)));
  honest.want(a, cidOf(1), true);
  KJ_EXPECT(honest.next().blocks[0].bytes == block(1));
  KJ_EXPECT(crowd.isServed(*crowd.peers[0]) && !crowd.isServed(*crowd.peers[1]));
  KJ_EXPECT(crowd.countServed() == Bitswap::MAX_SERVED - 1);
  crowd.peers[1]->own = nullptr;
  crowd.peers[1]->want(a, cidOf(1), true);
  KJ_EXPECT(crowd.peers[1]->next().blocks[0].bytes == block(1));
  KJ_EXPECT(!crowd.isServed(*crowd.peers[2]));
  world.pass(Bitswap::SILENT_TIME);
  KJ_EXPECT(crowd.countServed() == 0);
}

KJ_TEST("who is not read for now is not who is silent, but where all are") {
  World world;
  TestNode a(world);
  Crowd crowd(world, a);
  constexpr size_t QUESTIONS = 1000;
  auto message = wantlistOf(QUESTIONS, cidOf(1).getBytes(), true);
  auto hold = [&](RawPeer& peer) {
    for (int i = 0; peer.say(a, message); i++) KJ_ASSERT(i < 100);
  };
  auto& busy = *crowd.peers[0];
  hold(busy);
  for (auto& peer: crowd.peers.slice(1, crowd.peers.size())) {
    KJ_ASSERT(peer->say(a, wantlistOf(1, cidOf(1).getBytes(), true)));
  }
  crowd.more(Bitswap::MAX_SERVED - 1);
  KJ_EXPECT(crowd.isServed(busy) && crowd.countServed() == Bitswap::MAX_SERVED);
  crowd.more(1);
  KJ_EXPECT(crowd.isServed(busy) && crowd.countServed() == Bitswap::MAX_SERVED);
}

KJ_TEST("who was asked for something is heard, however many others there are") {
  World world;
  TestNode b(world);
  RawPeer slow(world);
  b.meet(slow.swarm);
  Crowd crowd(world, b);
  auto fetched = b.source->fetch(cidOf(2));
  slow.next();
  KJ_ASSERT(slow.say(b, nullptr));  // the answer is to come
  crowd.more(2 * Bitswap::MAX_SERVED);
  KJ_EXPECT(crowd.isServed(slow) && !crowd.isServed(*crowd.peers[Bitswap::MAX_SERVED]));
  KJ_EXPECT(crowd.countServed() == Bitswap::MAX_SERVED + Bitswap::MAX_ASKED - 1);
  slow.tell(b, cidOf(2), true);
  slow.next();
  slow.give(b, cidOf(2), block(2));
  KJ_ASSERT(fetched.poll(world.waitScope));
  KJ_EXPECT(fetched.wait(world.waitScope) == block(2));
  crowd.more(Bitswap::MAX_SERVED);
  KJ_EXPECT(crowd.countServed() == Bitswap::MAX_SERVED && !crowd.isServed(slow));
}

KJ_TEST("one among more than are served gives what it has") {
  World world;
  TestNode a(world), b(world);
  a.addImage(block(1));
  kj::Vector<kj::Own<TestNode>> without;
  for (auto i: kj::zeroTo(Bitswap::MAX_SERVED + 8)) {
    (void)i;
    b.meet(without.add(kj::heap<TestNode>(world))->swarm);
  }
  b.meet(a.swarm);
  KJ_EXPECT(b.gets(1));
}

KJ_TEST("of many wrong blocks one is looked at") {
  World world;
  TestNode b(world);
  RawPeer liar(world);
  b.meet(liar.swarm);
  auto fetched = b.source->fetch(cidOf(1));
  liar.next();
  liar.tell(b, cidOf(1), true);
  liar.next();
  Message message;
  for (kj::byte i = 10; i < 200; i++) {
    message.blocks.add(Message::Block{Message::prefixOf(cidOf(1)), block(i)});
  }
  liar.say(b, message);
  KJ_EXPECT(b.logger.getLines().size() == 1, b.getLog());
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

KJ_TEST("who says again and again that it has a block is heard once, and who was not asked never") {
  World world;
  TestNode b(world);
  RawPeer liar(world), honest(world), stranger(world);
  b.meet(liar.swarm);
  b.meet(honest.swarm);
  auto fetched = b.source->fetch(cidOf(1));
  liar.next();
  honest.next();
  b.meet(stranger.swarm);
  stranger.tell(b, cidOf(1), false);
  Message message;
  for (int i = 0; i < 100; i++) message.presences.add(Message::Presence{cidOf(1), true});
  liar.say(b, message);
  honest.tell(b, cidOf(1), true);
  KJ_EXPECT(liar.asksFor(cidOf(1)) && honest.hearsNothing());
  world.pass(Bitswap::BLOCK_TIME);
  KJ_EXPECT(honest.asksFor(cidOf(1)));
  honest.give(b, cidOf(1), block(1));
  KJ_EXPECT(fetched.wait(world.waitScope) == block(1));
}

KJ_TEST("where those that were asked first say nothing, the others are asked") {
  World world;
  TestNode a(world), b(world);
  a.addImage(block(1));
  kj::Vector<kj::Own<RawPeer>> mute;
  for (kj::uint i = 0; i < 2 * Bitswap::MAX_ASKED; i++) {
    mute.add(kj::heap<RawPeer>(world));
    b.meet(mute.back()->swarm);
  }
  auto fetched = b.source->fetch(cidOf(1));
  KJ_EXPECT(!fetched.poll(world.waitScope));
  b.meet(a.swarm);  // the first ones are asked by now
  world.pass(Bitswap::ANSWER_TIME);
  world.pass(Bitswap::ANSWER_TIME);
  KJ_ASSERT(fetched.poll(world.waitScope));
  KJ_EXPECT(fetched.wait(world.waitScope) == block(1));
}

KJ_TEST("whom the DHT names is asked before those that happen to be connected") {
  World world;
  TestNode a(world);
  FindingSwarm swarm(world.network);
  MemoryLogger logger;
  ImageStore store(world.folder.at("own"), 64 << 20, kj::systemCoarseCalendarClock(), logger);
  Bitswap bitswap(swarm, store, world.timer, logger, DialScope::ANYWHERE);
  auto source = bitswap.makeSource(true);
  a.addImage(block(1));
  a.bitswap->provide(cidOf(1));
  swarm.known.add(&a.swarm);
  kj::Vector<kj::Own<RawPeer>> mute;
  auto crowd = [&]() {
    for (kj::uint i = 0; i < Bitswap::MAX_ASKED; i++) {
      auto& peer = *mute.add(kj::heap<RawPeer>(world));
      swarm.inner.connect(peer.swarm.getPeerId(), peer.swarm.getListenAddrs(),
                          DialScope::ANYWHERE).wait(world.waitScope);
    }
  };
  crowd();
  auto fetched = source->fetch(cidOf(1));
  world.waitScope.poll();
  for (int i = 0; i < 4; i++) crowd();  // while the first are waited for
  world.pass(Bitswap::ANSWER_TIME);
  KJ_ASSERT(fetched.poll(world.waitScope));
  KJ_EXPECT(fetched.wait(world.waitScope) == block(1));
}

KJ_TEST("who says over and over that it has not got a block wakes nobody") {
  World world;
  MemoryLogger logger;
  FindingSwarm swarm(world.network);
  ImageStore store(world.folder.at("images"), 64 << 20, kj::systemCoarseCalendarClock(), logger);
  Bitswap bitswap(swarm, store, world.timer, logger, DialScope::ANYWHERE);
  auto source = bitswap.makeSource(true);
  RawPeer slow(world), other(world);
  auto say = [&](RawPeer& peer, bool has) {
    Message message;
    message.presences.add(Message::Presence{cidOf(1), has});
    auto bytes = message.encode();
    KJ_ASSERT_NONNULL(peer.own)->write(bytes.begin(), bytes.size()).wait(world.waitScope);
    world.waitScope.poll();
  };
  for (auto peer: {&slow, &other}) {
    swarm.inner.connect(peer->swarm.getPeerId(), peer->swarm.getListenAddrs(),
                        DialScope::ANYWHERE).wait(world.waitScope);
    peer->own = peer->swarm.open(swarm.getPeerId(), BITSWAP).wait(world.waitScope);
  }
  auto fetched = source->fetch(cidOf(1));
  world.waitScope.poll();
  say(other, false);
  say(slow, true);
  world.pass(Bitswap::ALONE_TIME);  // from now on others are looked for as anything changes
  auto before = swarm.listed;
  for (int i = 0; i < 10; i++) say(other, false);
  KJ_EXPECT(swarm.listed == before, swarm.listed, before);
  KJ_EXPECT(!fetched.poll(world.waitScope));
}

}  // namespace
}  // namespace ww
