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
  KJ_EXPECT(junk.opened.size() == 1, "it is waited for");
  world.pass(Bitswap::BLOCK_TIME - 1 * kj::SECONDS);
  KJ_ASSERT(junk.opened.size() == 2);
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

// A peer whose line takes so many bytes a second, and that answers as it is asked, in order, with
// each block so many times in one message.
struct Line {
  TestNode& to;
  kj::ArrayPtr<const Cid> cids;
  const size_t rate, blockSize;
  const kj::uint times;
  RawPeer peer;
  struct Answer {
    Cid cid;
    kj::Array<kj::byte> bytes;
  };
  std::deque<Answer> out;
  size_t said = 0;                    // of the first
  kj::uint asked = 0, cancelled = 0;  // blocks

  Line(World& world, TestNode& to, kj::ArrayPtr<const Cid> cids, size_t rate, size_t blockSize,
       kj::uint times)
      : to(to), cids(cids), rate(rate), blockSize(blockSize), times(times), peer(world) {
    to.meet(peer.swarm);
  }
  void passSecond() {
    to.world.waitScope.poll();
    while (!peer.opened.empty()) {
      auto read = readBitswap(*peer.opened.back(), []() { return size_t(1) << 20; });
      if (!read.poll(to.world.waitScope)) break;
      auto bytes = read.wait(to.world.waitScope);
      if (bytes == nullptr) break;
      for (auto& want: Message::decode(KJ_ASSERT_NONNULL(bytes)).wants) answer(want);
    }
    for (auto left = rate; left > 0 && !out.empty();) left -= send(left);
  }
  void stop() {  // in the middle of what it says
    out.clear();
    said = 0;
    peer.own = nullptr;
  }
  size_t send(size_t most) {
    auto& bytes = out.front().bytes;
    auto part = bytes.slice(said, kj::min(said + most, bytes.size()));
    bool isTaken = peer.say(to, part);
    if (!isTaken) {  // it was silent for long, or nobody waits for this
      peer.own = nullptr;
      isTaken = said == 0 && peer.say(to, part);
    }
    said += part.size();
    auto sent = part.size();
    if (isTaken && said < bytes.size()) return sent;
    out.pop_front();
    said = 0;
    return sent;
  }
  void answer(const Message::Want& want) {
    (want.cancel ? cancelled : asked) += want.cancel || want.blockItself;
    if (want.cancel) {  // but for what is begun
      std::erase_if(out, [&](Answer& one) {
        return one.cid == want.cid && (said == 0 || &one != &out.front());
      });
      return;
    }
    for (auto i: kj::indices(cids)) {
      if (!(cids[i] == want.cid)) continue;
      Message message;
      if (want.blockItself) {
        for (kj::uint j = 0; j < times; j++) {
          message.blocks.add(Message::Block{Message::prefixOf(want.cid), block(i, blockSize)});
        }
      } else {
        message.presences.add(Message::Presence{want.cid.clone(), true});
      }
      out.push_back(Answer{want.cid.clone(), message.encode()});
    }
  }
};

// Lines at a node, and the clock.
struct Lines {
  static constexpr size_t SIZE = 1'000'000;
  World world;
  TestNode b{world};
  kj::Array<Cid> cids = KJ_MAP(i, kj::zeroTo(12u)) { return cidOf(i, SIZE); };
  kj::Vector<kj::Own<Line>> all;

  void add(size_t rate, kj::uint times = 1) {
    all.add(kj::heap<Line>(world, b, cids, rate, SIZE, times));
  }
  void pass(int seconds) {
    for (int i = 0; i < seconds; i++) {
      for (auto& line: all) line->passSecond();
      world.pass(1 * kj::SECONDS);
    }
  }
  kj::Promise<kj::Array<const kj::byte>> fetch(kj::byte i) {
    return b.source->fetchOf(cidOf(50), cids[i]);
  }
};

KJ_TEST("who gave more in its time is asked first, whoever says first that it has a block") {
  Lines lines;
  for (size_t rate: {20'000, 20'000, 40'000}) lines.add(rate);
  kj::Vector<kj::Promise<kj::Array<const kj::byte>>> first;
  for (kj::byte i = 0; i < 3; i++) first.add(lines.fetch(i));
  lines.pass(104);  // until the slow one has given what it had begun
  for (auto& one: first) KJ_ASSERT(one.poll(lines.world.waitScope));
  for (auto& line: lines.all) KJ_EXPECT(line->asked == 3);
  auto second = lines.fetch(4);
  lines.pass(2);
  KJ_EXPECT(lines.all[2]->asked == 4, "though others answered first");
  KJ_EXPECT(lines.all[0]->asked + lines.all[1]->asked == 7);
}

KJ_TEST("who gives to no end makes room for who was left for it") {
  Lines lines;
  lines.add(20'000);
  for (int i = 0; i < 2; i++) lines.add(20'000, 4);
  auto fetched = lines.fetch(1);
  lines.pass(20);
  KJ_EXPECT(lines.all[0]->cancelled == 1);
  lines.all[0]->stop();
  lines.pass(175);
  KJ_EXPECT(fetched.poll(lines.world.waitScope));
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

KJ_TEST("the slowest makes room for who was not tried, and for nobody that is as slow") {
  for (int fast: {0, 1, 2}) {
    Lines lines;
    for (int i = 0; i < 3; i++) lines.add(i == fast ? 40'000 : 20'000);
    auto fetched = lines.fetch(1);
    lines.pass(20);
    KJ_EXPECT(!fetched.poll(lines.world.waitScope));
    for (int i = 0; i < 3; i++) {
      KJ_EXPECT(lines.all[i]->asked == 1, i, fast);
      KJ_EXPECT(i != fast || lines.all[i]->cancelled == 0, i);
    }
    lines.pass(30);
    KJ_EXPECT(fetched.poll(lines.world.waitScope));
  }
}

KJ_TEST("many that all have it and give next to nothing do not keep it from who gives") {
  constexpr kj::byte COUNT = 6;
  Lines lines;
  for (int i = 0; i < 6; i++) lines.add(17'000, 4);  // to no end
  lines.add(100'000);
  kj::Vector<kj::Promise<kj::Array<const kj::byte>>> fetched;
  for (kj::byte i = 0; i < COUNT; i++) fetched.add(lines.fetch(i));
  lines.pass(60);
  for (kj::byte i = COUNT; i < 2 * COUNT; i++) fetched.add(lines.fetch(i));  // its line is full
  lines.pass(240);
  for (kj::byte i = 0; i < 2 * COUNT; i++) {
    KJ_ASSERT(fetched[i].poll(lines.world.waitScope), i);
    KJ_EXPECT(fetched[i].wait(lines.world.waitScope) == block(i, Lines::SIZE), i);
  }
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
    KJ_EXPECT(two.slow.opened.size() == 1 && two.fast.opened.size() == 1, "both are waited for");
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
