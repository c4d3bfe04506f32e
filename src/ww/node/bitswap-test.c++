// Blocks among peers: who is given what, and who is asked.
#include <ww/node/bitswap-peers-test.h>

namespace ww {
namespace {

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

KJ_TEST("who is said to have an image is asked for its blocks first, and for no other's") {
  World world;
  TestNode a(world), b(world);
  RawPeer owner(world);
  b.meet(a.swarm);
  b.meet(owner.swarm);
  for (kj::byte i = 1; i < 4; i++) a.addImage(block(i));
  KJ_EXPECT(b.gets(1));  // of `a`, who would be asked first the next time
  auto root = cidOf(9);
  auto first = b.bitswap->askFirst(root, owner.swarm.getPeerId());
  KJ_EXPECT(b.gets(2) && owner.wantsHeard().size() == 0, "it is of another image");
  auto fetched = b.source->fetchOf(root, cidOf(3));
  KJ_EXPECT(!fetched.poll(world.waitScope));
  KJ_EXPECT(owner.asksFor(cidOf(3)));
  owner.tell(b, cidOf(3), false);
  KJ_ASSERT(fetched.poll(world.waitScope));
  KJ_EXPECT(fetched.wait(world.waitScope) == block(3));
  first = nullptr;
  a.addImage(block(4));
  fetched = b.source->fetchOf(root, cidOf(4));
  KJ_ASSERT(fetched.poll(world.waitScope));
  KJ_EXPECT(fetched.wait(world.waitScope) == block(4) && owner.wantsHeard().size() == 0);
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
  world.pass(Bitswap::BLOCK_TIME);
  KJ_EXPECT(bool(slow.next().wants[0].cancel));
  auto why = world.outcome(kj::mv(fetched));
  KJ_EXPECT(why == "none of the 2 that were asked has it: 1 did not answer in time", why);
}

KJ_TEST("a block that two want is asked for and given to both, and is not cancelled by one") {
  World world;
  TestNode b(world);
  RawPeer peer(world);
  b.meet(peer.swarm);
  auto hint = b.bitswap->askFirst(cidOf(9), peer.swarm.getPeerId());
  auto first = b.source->fetchOf(cidOf(9), cidOf(1));
  auto second = b.source->fetchOf(cidOf(9), cidOf(1));
  auto third = b.source->fetchOf(cidOf(9), cidOf(1));
  KJ_EXPECT(!first.poll(world.waitScope) && !second.poll(world.waitScope));
  while (!peer.hearsNothing()) {}
  third = nullptr;
  KJ_EXPECT(peer.hearsNothing());
  peer.give(b, cidOf(1), block(1));
  KJ_ASSERT(first.poll(world.waitScope) && second.poll(world.waitScope));
  KJ_EXPECT(first.wait(world.waitScope) == block(1) && second.wait(world.waitScope) == block(1));
}

KJ_TEST("one that was late is asked again when nobody else has it, and not before") {
  World world;
  TestNode a(world), b(world);
  RawPeer slow(world);
  b.meet(slow.swarm);
  b.meet(a.swarm);
  a.addImage(block(2));
  auto fetched = b.source->fetch(cidOf(1));
  slow.next();
  slow.tell(b, cidOf(1), true);
  slow.next();
  world.pass(Bitswap::BLOCK_TIME);
  KJ_EXPECT(slow.asksFor(cidOf(1)));
  slow.give(b, cidOf(1), block(1));
  KJ_EXPECT(fetched.wait(world.waitScope) == block(1));
  auto late = b.source->fetch(cidOf(3));
  slow.next();
  slow.tell(b, cidOf(3), true);
  KJ_EXPECT(slow.asksFor(cidOf(3)));
  world.pass(Bitswap::BLOCK_TIME);
  world.outcome(kj::mv(late));
  while (!slow.hearsNothing()) {}
  KJ_EXPECT(b.gets(2) && slow.hearsNothing());
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
  a.addImage(block(3));
  Message both;
  both.wants.add(Message::Want{cidOf(1), false, true, true});
  both.wants.add(Message::Want{cidOf(3), false, true, true});
  both.wants.add(Message::Want{cidOf(1), true});
  peer.say(a, both);
  auto blocks = peer.next().blocks.releaseAsArray();
  KJ_EXPECT(blocks.size() == 1 && blocks[0].bytes == block(3) && peer.hearsNothing());
}

KJ_TEST("one that went and came anew is asked over a stream of its own") {
  World world;
  TestNode b(world);
  RawPeer peer(world);
  b.meet(peer.swarm);
  for (kj::byte i = 1; i < 4; i++) {
    auto fetched = b.source->fetch(cidOf(i));
    KJ_ASSERT(!fetched.poll(world.waitScope), i);
    KJ_ASSERT(peer.opened.size() == 1, i);
    if (i == 1) {
      peer.next();
      peer.tell(b, cidOf(i), true);
    }
    KJ_EXPECT(peer.asksFor(cidOf(i)), i);
    peer.give(b, cidOf(i), block(i));
    KJ_ASSERT(fetched.poll(world.waitScope), i);
    KJ_EXPECT(fetched.wait(world.waitScope) == block(i));
    peer.opened.clear();
    world.waitScope.poll();
  }
}

KJ_TEST("where no peer that is connected has it, those are dialled that say so in the DHT") {
  World world;
  TestNode a(world), gone(world);
  FindingSwarm swarm(world.network);
  MemoryLogger logger;
  ImageStore store(world.folder.at("own"), 64 << 20, kj::systemCoarseCalendarClock(), logger);
  Bitswap bitswap(swarm, store, world.timer, logger, DialScope::ANYWHERE);
  auto source = bitswap.makeSource(true);
  a.addImage(block(1));
  a.addImage(block(2));
  gone.bitswap->provide(cidOf(1));  // whose address nobody knows
  a.bitswap->provide(cidOf(1));
  swarm.known.add(&a.swarm);
  KJ_EXPECT(source->fetch(cidOf(1)).wait(world.waitScope) == block(1));
  KJ_EXPECT(source->fetch(cidOf(2)).wait(world.waitScope) == block(2));  // from the same
  KJ_EXPECT(swarm.asked == 1);
}

KJ_TEST("the DHT is asked for an image once, however many of its blocks nobody has") {
  World world;
  TestNode a(world);
  FindingSwarm swarm(world.network);
  MemoryLogger logger;
  ImageStore store(world.folder.at("own"), 64 << 20, kj::systemCoarseCalendarClock(), logger);
  Bitswap bitswap(swarm, store, world.timer, logger, DialScope::ANYWHERE);
  auto source = bitswap.makeSource(true);
  a.addImage(block(2));
  a.bitswap->provide(cidOf(1));  // the image; of its blocks nobody says anything
  swarm.known.add(&a.swarm);
  auto first = source->fetchOf(cidOf(1), cidOf(2));
  auto second = source->fetchOf(cidOf(1), cidOf(3));
  KJ_EXPECT(first.wait(world.waitScope) == block(2));
  KJ_EXPECT(has(world.outcome(kj::mv(second)), "none of"));
  KJ_EXPECT(has(world.outcome(source->fetchOf(cidOf(1), cidOf(4))), "none of"));
  KJ_EXPECT(swarm.asked == 1, swarm.asked);
  world.outcome(source->fetchOf(cidOf(5), cidOf(5)));
  KJ_EXPECT(swarm.asked == 2);
  world.pass(Bitswap::FIND_AGAIN);
  world.outcome(source->fetchOf(cidOf(1), cidOf(4)));
  KJ_EXPECT(swarm.asked == 3);
}

}  // namespace
}  // namespace ww
