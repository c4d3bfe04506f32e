// Peers that are slow, honestly or not, beside others and alone.
#include <ww/node/bitswap-peers-test.h>

#include <algorithm>

namespace ww {
namespace {

constexpr size_t SIZE = 256 << 10;

// A node that was told by both that they have a block, by `slow` first.
struct Two {
  World world;
  TestNode b{world};
  RawPeer slow{world}, fast{world};
  kj::Promise<kj::Array<const kj::byte>> fetched = nullptr;

  Two() {
    b.meet(slow.swarm);
    b.meet(fast.swarm);
    fetched = b.source->fetch(cidOf(1, SIZE));
    slow.next();
    fast.next();
    slow.tell(b, cidOf(1, SIZE), true);
    fast.tell(b, cidOf(1, SIZE), true);
    KJ_ASSERT(slow.asksFor(cidOf(1, SIZE)) && fast.hearsNothing());
  }

  // So many bytes of that block in each second.
  void trickle(size_t rate, kj::uint seconds) {
    auto message = RawPeer::blockMessage(block(1, SIZE));
    for (kj::uint i = 0; i < seconds; i++) {
      KJ_ASSERT(slow.say(b, message.slice(i * rate, (i + 1) * rate)), i);
      world.pass(1 * kj::SECONDS);
    }
  }
};

// As much as that of what nobody asked for, in small messages, in each second.
void sendJunk(World& world, TestNode& to, RawPeer& from, kj::uint seconds) {
  Message junk;
  for (size_t i = 0; i < 600; i++) {
    junk.presences.add(Message::Presence{cidOf(kj::byte(i % 200 + 50), 7), false});
  }
  for (kj::uint i = 0; i < seconds; i++) {
    for (int j = 0; j < 2; j++) from.say(to, junk);
    world.pass(1 * kj::SECONDS);
  }
}

KJ_TEST("what is no block that was asked for buys no time, however much of it comes") {
  World world;
  TestNode b(world);
  RawPeer junk(world);
  b.meet(junk.swarm);
  auto fetched = b.source->fetch(cidOf(1));
  junk.next();
  junk.tell(b, cidOf(1), true);
  KJ_ASSERT(junk.asksFor(cidOf(1)));
  sendJunk(world, b, junk, Bitswap::BLOCK_TIME / kj::SECONDS + 1);
  KJ_EXPECT(bool(junk.next().wants[0].cancel));
}

KJ_TEST("a message counts while it comes, and no more once it is whole and brought nothing") {
  World world;
  TestNode b(world);
  RawPeer junk(world);
  b.meet(junk.swarm);
  auto fetched = b.source->fetch(cidOf(1));
  junk.next();
  junk.tell(b, cidOf(1), true);
  KJ_ASSERT(junk.asksFor(cidOf(1)));
  auto message = wantlistOf(12'000, cidOf(9).getBytes(), true);
  constexpr kj::uint SECONDS = 20;
  for (kj::uint i = 0; i < SECONDS; i++) {
    auto at = [&](kj::uint n) { return message.size() * n / SECONDS; };
    KJ_ASSERT(junk.say(b, message.slice(at(i), at(i + 1))), i);
    world.pass(1 * kj::SECONDS);
  }
  KJ_EXPECT(junk.hearsNothing(), "it is waited for");
  world.pass(Bitswap::BLOCK_TIME - 1 * kj::SECONDS);
  KJ_EXPECT(bool(junk.next().wants[0].cancel));
}

KJ_TEST("a block that comes slowly is asked of another as well, who is asked first from then on") {
  Two two;
  two.trickle(Bitswap::LEAST_RATE, Bitswap::ALONE_TIME / kj::SECONDS);
  KJ_ASSERT(two.fast.asksFor(cidOf(1, SIZE)));
  KJ_EXPECT(two.slow.hearsNothing(), "it may still be faster");
  two.fast.give(two.b, cidOf(1, SIZE), block(1, SIZE));
  KJ_ASSERT(two.fetched.poll(two.world.waitScope));
  KJ_EXPECT(two.fetched.wait(two.world.waitScope) == block(1, SIZE));
  KJ_EXPECT(bool(two.slow.next().wants[0].cancel));
  auto next = two.b.source->fetch(cidOf(2));
  KJ_EXPECT(!next.poll(two.world.waitScope));
  KJ_EXPECT(two.fast.asksFor(cidOf(2)) && two.slow.hearsNothing());
  KJ_EXPECT(two.b.logger.getLines().size() == 1, two.b.getLog());
  KJ_EXPECT(has(two.b.getLog(), two.slow.swarm.getPeerId().toText()));
}

KJ_TEST("what comes late of a slow peer is no lie, and does not bring back its place") {
  Two two;
  auto message = RawPeer::blockMessage(block(1, SIZE));
  two.trickle(Bitswap::LEAST_RATE, Bitswap::ALONE_TIME / kj::SECONDS);
  two.fast.give(two.b, cidOf(1, SIZE), block(1, SIZE));
  KJ_ASSERT(two.fetched.poll(two.world.waitScope));
  auto first = two.b.bitswap->askFirst(cidOf(9), two.slow.swarm.getPeerId());
  auto other = two.b.source->fetchOf(cidOf(9), cidOf(3));  // so that something is wanted of it
  KJ_EXPECT(!other.poll(two.world.waitScope));
  for (kj::byte i = 100; i < 200; i++) {  // more than anybody remembers to have wanted
    auto more = two.b.source->fetch(cidOf(i));
    KJ_EXPECT(!more.poll(two.world.waitScope));
    two.fast.give(two.b, cidOf(i), block(i));
    KJ_ASSERT(more.poll(two.world.waitScope), i);
  }
  auto given = Bitswap::LEAST_RATE * (Bitswap::ALONE_TIME / kj::SECONDS);
  KJ_ASSERT(two.slow.say(two.b, message.slice(given, message.size())));
  KJ_EXPECT(!has(two.b.getLog(), "is not what it was asked for"), two.b.getLog());
  while (!two.slow.hearsNothing()) {}
  while (!two.fast.hearsNothing()) {}
  auto next = two.b.source->fetch(cidOf(2));
  KJ_EXPECT(!next.poll(two.world.waitScope));
  KJ_EXPECT(two.fast.asksFor(cidOf(2)) && two.slow.hearsNothing());
}

KJ_TEST("blocks that wait for a slow peer's others move on") {
  Two two;
  kj::Vector<kj::Promise<kj::Array<const kj::byte>>> more;
  auto first = two.b.bitswap->askFirst(cidOf(9), two.slow.swarm.getPeerId());
  for (kj::byte i = 2; i < 10; i++) more.add(two.b.source->fetchOf(cidOf(9), cidOf(i)));
  KJ_EXPECT(two.slow.wantsHeard().size() == Bitswap::MAX_IN_FLIGHT - 1);
  two.trickle(Bitswap::LEAST_RATE, Bitswap::ALONE_TIME / kj::SECONDS);
  two.fast.give(two.b, cidOf(1, SIZE), block(1, SIZE));
  for (kj::byte i = 2; i < 10; i++) two.fast.tell(two.b, cidOf(i), true);
  for (kj::byte i = 2; i < 10; i++) two.fast.give(two.b, cidOf(i), block(i));
  for (kj::byte i = 2; i < 10; i++) {
    KJ_ASSERT(more[i - 2].poll(two.world.waitScope), i);
    KJ_EXPECT(more[i - 2].wait(two.world.waitScope) == block(i), i);
  }
}

KJ_TEST("who comes while a slow peer gives is asked, too; of those beside it one at a time") {
  World world;
  TestNode b(world);
  RawPeer slow(world), mute(world);
  TestNode late(world);
  late.addImage(block(1, SIZE));
  b.meet(slow.swarm);
  auto fetched = b.source->fetch(cidOf(1, SIZE));
  slow.next();
  slow.tell(b, cidOf(1, SIZE), true);
  KJ_ASSERT(slow.asksFor(cidOf(1, SIZE)));
  auto message = RawPeer::blockMessage(block(1, SIZE));
  size_t given = 0;
  auto trickle = [&](kj::Duration time) {
    for (auto end = world.timer.now() + time; world.timer.now() < end;) {
      KJ_ASSERT(slow.say(b, message.slice(given, given + Bitswap::LEAST_RATE)));
      given += Bitswap::LEAST_RATE;
      world.pass(1 * kj::SECONDS);
    }
  };
  trickle(Bitswap::ALONE_TIME);
  b.meet(mute.swarm);
  trickle(Bitswap::ALONE_TIME);
  mute.next();
  mute.tell(b, cidOf(1, SIZE), true);
  KJ_EXPECT(mute.asksFor(cidOf(1, SIZE)));
  b.meet(late.swarm);
  trickle(2 * Bitswap::ALONE_TIME);
  KJ_EXPECT(bool(mute.next().wants[0].cancel));
  KJ_ASSERT(fetched.poll(world.waitScope));
  KJ_EXPECT(fetched.wait(world.waitScope) == block(1, SIZE));
}

KJ_TEST("who is asked for a block and says that it has it is not asked beside itself") {
  World world;
  TestNode b(world);
  RawPeer slow(world);
  b.meet(slow.swarm);
  auto first = b.bitswap->askFirst(cidOf(9), slow.swarm.getPeerId());
  auto fetched = b.source->fetchOf(cidOf(9), cidOf(1, SIZE));
  KJ_EXPECT(!fetched.poll(world.waitScope));
  KJ_EXPECT(slow.asksFor(cidOf(1, SIZE)));
  slow.tell(b, cidOf(1, SIZE), true);
  auto message = RawPeer::blockMessage(block(1, SIZE));
  for (kj::uint i = 0; i < 6; i++) {
    KJ_ASSERT(slow.say(b, message.slice(i * Bitswap::LEAST_RATE, (i + 1) * Bitswap::LEAST_RATE)));
    world.pass(1 * kj::SECONDS);
  }
  KJ_EXPECT(slow.wantsHeard().empty());
}

KJ_TEST("while a block of a peer is waited for it is asked for more over the same stream") {
  World world;
  TestNode b(world);
  RawPeer slow(world);
  b.meet(slow.swarm);
  auto fetched = b.source->fetch(cidOf(1, SIZE));
  slow.next();
  slow.tell(b, cidOf(1, SIZE), true);
  KJ_ASSERT(slow.asksFor(cidOf(1, SIZE)));
  auto message = RawPeer::blockMessage(block(1, SIZE));
  constexpr size_t RATE = 20'000;
  for (kj::uint i = 0; i <= 12; i++) {
    KJ_ASSERT(slow.say(b, message.slice(i * RATE, (i + 1) * RATE)));
    world.pass(1 * kj::SECONDS);
  }
  auto second = b.source->fetch(cidOf(2));
  KJ_EXPECT(!second.poll(world.waitScope));
  KJ_EXPECT(slow.opened.size() == 1 && slow.next().wants[0].cid == cidOf(2));
}

KJ_TEST("a peer has as long to take a stream as it goes on sending") {
  for (bool sends: {true, false}) {
    World world;
    HoldingSwarm swarm(world.network);
    MemoryLogger logger;
    ImageStore store(world.folder.at("own"), 64 << 20, kj::systemCoarseCalendarClock(), logger);
    Bitswap bitswap(swarm, store, world.timer, logger, DialScope::ANYWHERE);
    auto source = bitswap.makeSource(true);
    RawPeer peer(world);
    swarm.inner.connect(peer.swarm.getPeerId(), peer.swarm.getListenAddrs(), DialScope::ANYWHERE)
        .wait(world.waitScope);
    auto first = bitswap.askFirst(cidOf(9), peer.swarm.getPeerId());
    auto fetched = source->fetchOf(cidOf(9), cidOf(1));
    auto own = peer.swarm.open(swarm.getPeerId(), BITSWAP).wait(world.waitScope);
    auto message = wantlistOf(1, cidOf(9).getBytes(), true);
    for (int64_t i = 0; i < Bitswap::SEND_TIME / kj::SECONDS + 10; i++) {
      if (sends) own->write(message.begin(), message.size()).wait(world.waitScope);
      world.pass(1 * kj::SECONDS);
    }
    bool isHeld = swarm.opening->isWaiting();
    KJ_EXPECT(isHeld == sends);
    if (!sends) continue;
    swarm.opening->reject(KJ_EXCEPTION(FAILED, "it took none in time"));
    world.waitScope.poll();
    KJ_EXPECT(swarm.opening->isWaiting(), "it is tried again");
    swarm.opening->reject(KJ_EXCEPTION(FAILED, "it takes none"));
    KJ_ASSERT(fetched.poll(world.waitScope));
    KJ_EXPECT_THROW_MESSAGE("none of the 1", fetched.wait(world.waitScope));
  }
}

KJ_TEST("one that gives a block at a fair rate is asked alone for longer") {
  Two two;
  two.trickle(Bitswap::FAIR_RATE, Bitswap::ALONE_TIME / kj::SECONDS);
  KJ_EXPECT(two.fast.hearsNothing());
}

KJ_TEST("where another source follows, peers are waited for so long, and after it from then on") {
  World world;
  TestNode b(world);
  RawPeer slow(world);
  b.meet(slow.swarm);
  auto source = b.bitswap->makeSource(false);
  auto fetched = source->fetch(cidOf(1, MAX_BLOCK_BYTES));
  slow.next();
  slow.tell(b, cidOf(1, MAX_BLOCK_BYTES), true);
  KJ_ASSERT(slow.asksFor(cidOf(1, MAX_BLOCK_BYTES)));
  auto message = RawPeer::blockMessage(block(1, MAX_BLOCK_BYTES));
  size_t given = 0;
  auto trickle = [&](kj::Duration time) {
    for (auto end = world.timer.now() + time; world.timer.now() < end;) {
      auto next = kj::min(given + Bitswap::LEAST_RATE, message.size());
      KJ_ASSERT(slow.say(b, message.slice(given, next)));
      given = next;
      world.pass(1 * kj::SECONDS);
    }
  };
  trickle(Bitswap::NEXT_TIME - 1 * kj::SECONDS);
  KJ_EXPECT(!fetched.poll(world.waitScope) && !source->isResting());
  trickle(1 * kj::SECONDS);
  KJ_ASSERT(fetched.poll(world.waitScope));
  KJ_EXPECT_THROW_MESSAGE("no peer gave it within", fetched.wait(world.waitScope));
  KJ_EXPECT(source->isResting());
  slow.wantsHeard();
  // No other has it: a link at the least rate is served.
  auto first = b.bitswap->askFirst(cidOf(1, MAX_BLOCK_BYTES), slow.swarm.getPeerId());
  auto again = source->fetch(cidOf(1, MAX_BLOCK_BYTES));
  KJ_ASSERT(slow.asksFor(cidOf(1, MAX_BLOCK_BYTES)));
  trickle(int64_t(message.size() - given) / Bitswap::LEAST_RATE * kj::SECONDS + 1 * kj::SECONDS);
  KJ_ASSERT(again.poll(world.waitScope));
  KJ_EXPECT(again.wait(world.waitScope).size() == MAX_BLOCK_BYTES);
  world.pass(Bitswap::REST_TIME);
  KJ_EXPECT(!source->isResting());
}

// At the least rate together, since it is the node's own.
KJ_TEST("who does not say whether it has one block while it gives another is not late") {
  World world;
  TestNode b(world);
  RawPeer slow(world);
  b.meet(slow.swarm);
  auto first = b.source->fetch(cidOf(1, SIZE));
  slow.next();
  slow.tell(b, cidOf(1, SIZE), true);
  KJ_ASSERT(slow.asksFor(cidOf(1, SIZE)));
  auto second = b.source->fetch(cidOf(2));
  KJ_EXPECT(!second.poll(world.waitScope));
  KJ_EXPECT(slow.next().wants[0].cid == cidOf(2));
  auto message = RawPeer::blockMessage(block(1, SIZE));
  constexpr size_t RATE = 20'000;  // bytes a second, above the least
  for (kj::uint i = 0; i <= Bitswap::ANSWER_TIME / kj::SECONDS; i++) {
    KJ_ASSERT(slow.say(b, message.slice(i * RATE, (i + 1) * RATE)));
    world.pass(1 * kj::SECONDS);
  }
  KJ_EXPECT(!second.poll(world.waitScope));
  KJ_EXPECT(slow.asksFor(cidOf(2)), "it may have it, and nobody else has");
  slow.say(b, message.slice((Bitswap::ANSWER_TIME / kj::SECONDS + 1) * RATE, message.size()));
  slow.tell(b, cidOf(2), false);
  KJ_ASSERT(second.poll(world.waitScope));
  KJ_EXPECT_THROW_MESSAGE("none of the 1 that were asked has it", second.wait(world.waitScope));
  auto third = b.source->fetch(cidOf(3));
  KJ_EXPECT(!third.poll(world.waitScope));
  auto asked = slow.next();
  KJ_EXPECT(asked.wants[0].cid == cidOf(3) && !asked.wants[0].blockItself, "as any other is");
}

KJ_TEST("of those that were late who gave most is asked again first") {
  World world;
  TestNode b(world);
  kj::Vector<kj::Own<RawPeer>> peers;
  for (int i = 0; i < 3; i++) {
    peers.add(kj::heap<RawPeer>(world));
    b.meet(peers.back()->swarm);
  }
  auto connected = b.swarm.getPeers();
  auto giver = std::find_if(peers.begin(), peers.end(), [&](auto& peer) {
    return peer->swarm.getPeerId() == connected.back().id;  // the last in their order
  });
  auto first = b.source->fetch(cidOf(1));
  KJ_EXPECT(!first.poll(world.waitScope));
  (*giver)->next();
  (*giver)->tell(b, cidOf(1), true);
  KJ_ASSERT((*giver)->asksFor(cidOf(1)));
  (*giver)->give(b, cidOf(1), block(1));
  KJ_ASSERT(first.poll(world.waitScope));

  auto why = b.whyNot(2);  // none says anything
  KJ_EXPECT(has(why, "did not answer in time"), why);
  for (auto& peer: peers) peer->wantsHeard();
  auto second = b.source->fetch(cidOf(3));
  KJ_EXPECT(!second.poll(world.waitScope));
  for (auto& peer: peers) {
    bool isFirst = peer.get() == giver->get();
    KJ_EXPECT(peer->wantsHeard().size() == (isFirst ? 1 : 0), isFirst);
  }
}

KJ_TEST("what a peer sends that is no block, begun before it was asked, does not make it fair") {
  World world;
  TestNode b(world);
  RawPeer junk(world), fast(world);
  b.meet(junk.swarm);
  b.meet(fast.swarm);
  auto message = wantlistOf(2000, cidOf(9).getBytes(), true);
  KJ_ASSERT(junk.say(b, message.slice(0, message.size() - 1)));
  auto begun = kj::mv(junk.own);
  auto fetched = b.source->fetch(cidOf(1));
  junk.next();
  fast.next();
  junk.own = nullptr;
  junk.tell(b, cidOf(1), true);
  fast.tell(b, cidOf(1), true);
  KJ_ASSERT(junk.asksFor(cidOf(1)));
  KJ_ASSERT_NONNULL(begun)->write(message.end() - 1, 1).wait(world.waitScope);
  world.pass(Bitswap::ALONE_TIME);
  KJ_EXPECT(fast.asksFor(cidOf(1)));
}

KJ_TEST("a small block at once does not make up for a large one that was slow") {
  Two two;
  two.trickle(Bitswap::LEAST_RATE, Bitswap::ALONE_TIME / kj::SECONDS);
  two.fast.give(two.b, cidOf(1, SIZE), block(1, SIZE));
  KJ_ASSERT(two.fetched.poll(two.world.waitScope));
  auto message = RawPeer::blockMessage(block(1, SIZE));
  two.slow.say(two.b, message.slice(Bitswap::LEAST_RATE * (Bitswap::ALONE_TIME / kj::SECONDS),
                                    message.size()));
  auto second = two.b.source->fetch(cidOf(2));
  KJ_EXPECT(!second.poll(two.world.waitScope));
  two.fast.tell(two.b, cidOf(2), false);
  two.world.waitScope.poll();
  two.slow.give(two.b, cidOf(2), block(2));
  KJ_ASSERT(second.poll(two.world.waitScope));
  while (!two.slow.hearsNothing()) {}
  auto third = two.b.source->fetch(cidOf(3));
  KJ_EXPECT(!third.poll(two.world.waitScope));
  auto asked = two.slow.next();
  KJ_EXPECT(asked.wants.size() == 1 && !asked.wants[0].blockItself);
}

KJ_TEST("over one slow link two that give the same block are both waited for") {
  Two two;
  auto message = RawPeer::blockMessage(block(1, SIZE));
  size_t given = 0, half = Bitswap::LEAST_RATE / 2;
  two.trickle(Bitswap::LEAST_RATE, Bitswap::ALONE_TIME / kj::SECONDS);
  KJ_ASSERT(two.fast.asksFor(cidOf(1, SIZE)));
  auto begin = Bitswap::LEAST_RATE * (Bitswap::ALONE_TIME / kj::SECONDS);
  for (; given < message.size(); given += half) {
    if (two.fetched.poll(two.world.waitScope)) break;
    KJ_EXPECT(two.slow.hearsNothing() && two.fast.hearsNothing(), "both are waited for");
    two.slow.say(two.b, message.slice(begin + given, kj::min(begin + given + half,
                                                              message.size())));
    two.fast.say(two.b, message.slice(given, kj::min(given + half, message.size())));
    two.world.pass(1 * kj::SECONDS);
  }
  KJ_ASSERT(two.fetched.poll(two.world.waitScope));
  KJ_EXPECT(two.fetched.wait(two.world.waitScope) == block(1, SIZE));
}

}  // namespace
}  // namespace ww
