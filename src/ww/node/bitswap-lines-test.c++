// Peers whose lines take so much a second, and what becomes of blocks that many of them have.
#include <ww/node/bitswap-peers-test.h>

#include <algorithm>

namespace ww {
namespace {

// A peer whose line takes so many bytes a second, and that answers as it is asked, in order, with
// each block so many times in one message.
struct Line {
  TestNode& to;
  kj::ArrayPtr<const Cid> cids;
  const size_t rate, blockSize;
  const kj::uint times;
  size_t burst = 0;        // bytes of a block that come faster, by a third of them a second
  size_t most = SIZE_MAX;  // bytes of a block; then nothing
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
    auto left = rate + (said < burst ? burst / 3 : 0);
    while (left > 0 && !out.empty() && said < most) left -= send(kj::min(left, most - said));
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
  for (int i = 0; i < 2; i++) lines.add(13'000, 4);
  auto fetched = lines.fetch(1);
  lines.pass(20);
  for (int i = 0; i < 3; i++) KJ_EXPECT(lines.all[i]->asked == 1);
  lines.all[0]->stop();
  lines.pass(250);
  KJ_EXPECT(lines.all[0]->asked == 2);
}

KJ_TEST("lines that are as slow as each other are not asked again and again") {
  Lines lines;
  for (int i = 0; i < 3; i++) lines.add(20'000);
  kj::Vector<kj::Promise<kj::Array<const kj::byte>>> fetched;
  for (kj::byte i = 0; i < 3; i++) fetched.add(lines.fetch(i));
  auto countAsked = [&]() {
    kj::uint asked = 0;
    for (auto& line: lines.all) asked += line->asked;
    return asked;
  };
  lines.pass(20);
  KJ_EXPECT(countAsked() == 9, "each is tried");
  lines.pass(150);
  for (auto& one: fetched) KJ_EXPECT(one.poll(lines.world.waitScope));
  KJ_EXPECT(countAsked() <= 10, "and one that gave once more");
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

KJ_TEST("who begins well and gives no block is not asked before who gave one") {
  Lines lines;
  lines.add(20'000);
  auto first = lines.fetch(0);
  lines.pass(60);
  KJ_ASSERT(first.poll(lines.world.waitScope));
  for (int i = 0; i < 40; i++) {
    lines.add(17'000, 4);
    lines.all.back()->burst = 150'000;
  }
  std::rotate(lines.all.begin(), lines.all.begin() + 1, lines.all.end());  // it speaks last
  for (kj::byte i = 1; i < 4; i++) {
    auto fetched = lines.fetch(i);
    lines.pass(80);
    KJ_EXPECT(fetched.poll(lines.world.waitScope), i);
  }
}

KJ_TEST("those that give at a fair rate, and then nothing, do not take all of the time") {
  Lines lines;
  for (int i = 0; i < 40; i++) {
    lines.add(66'000);
    lines.all.back()->most = 990'000;
  }
  lines.add(100'000);
  auto fetched = lines.fetch(1);
  lines.pass(280);
  KJ_EXPECT(fetched.poll(lines.world.waitScope));
}

KJ_TEST("a line may take longer for what it was asked at once than what is late may") {
  Lines lines;
  lines.add(20'000);
  kj::Vector<kj::Promise<kj::Array<const kj::byte>>> fetched;
  for (kj::byte i = 0; i < 3; i++) fetched.add(lines.fetch(i));
  lines.pass(160);
  for (kj::byte i = 0; i < 3; i++) KJ_EXPECT(fetched[i].poll(lines.world.waitScope), i);
}

KJ_TEST("a message that has begun goes on, whatever its sender waits for") {
  World world;
  TestNode a(world);
  RawPeer deaf(world);
  a.meet(deaf.swarm);
  a.addImage(block(1, Lines::SIZE));
  deaf.want(a, cidOf(1, Lines::SIZE), true);
  auto message = wantlistOf(1000, cidOf(9).getBytes(), true);
  KJ_ASSERT(deaf.say(a, message.slice(0, message.size() / 2)));
  world.pass(Bitswap::SILENT_TIME);
  KJ_EXPECT(!deaf.say(a, message.slice(message.size() / 2, message.size())));
}

KJ_TEST("who reads a block slowly is given it, and what comes after, a large one at a time") {
  World world;
  TestNode a(world);
  RawPeer slow(world);
  a.meet(slow.swarm);
  for (kj::byte i: {1, 2}) a.addImage(block(i, Lines::SIZE));
  for (kj::byte i: {1, 2}) slow.want(a, cidOf(i, Lines::SIZE), true);
  auto readSlowly = [&](size_t rate) {
    kj::Vector<kj::byte> message;
    auto piece = kj::heapArray<kj::byte>(rate);
    auto whole = RawPeer::blockMessage(block(1, Lines::SIZE)).size();
    while (message.size() < whole) {
      world.waitScope.poll();
      auto& stream = *slow.opened.back();
      auto read = stream.tryRead(piece.begin(), 1, kj::min(rate, whole - message.size()));
      KJ_ASSERT(read.poll(world.waitScope), message.size());
      auto size = read.wait(world.waitScope);
      if (size == 0) break;
      message.addAll(piece.slice(0, size));
      world.pass(1 * kj::SECONDS);
    }
    return message.releaseAsArray();
  };
  for (kj::byte i: {1, 2}) {
    KJ_EXPECT(readSlowly(16 << 10) == RawPeer::blockMessage(block(i, Lines::SIZE)), i);
  }
  slow.want(a, cidOf(1, Lines::SIZE), true);
  KJ_EXPECT(readSlowly(Bitswap::LEAST_READ_RATE / 2).size() < Lines::SIZE, "to no end");
}

}  // namespace
}  // namespace ww
