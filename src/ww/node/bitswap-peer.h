#pragma once
// What Bitswap knows of a peer, and of a block that it waits for. Private to it.

#include <list>

#include <kj/debug.h>
#include <kj/one-of.h>
#include <ww/node/bitswap.h>
#include <ww/node/byte-allowance.h>

namespace ww {

struct Bitswap::PeerState {
  PeerState(const PeerId& id, kj::TimePoint now)
      : id(id.clone()), name(id.toText()), allowance(PEER_BYTES_PER_SECOND, now) {}

  const PeerId id;
  const kj::String name;
  kj::uint streams = 0;        // that it has open
  uint64_t lastHeard = 0;      // the latest on these, by Bitswap::heard
  kj::Own<kj::PromiseFulfiller<void>> leave;  // ends those; null once it did
  kj::Maybe<kj::ForkedPromise<void>> onLeave;
  std::deque<Item> outbox;
  kj::uint held = 0;           // how often it waits, since it asked for more than it may
  bool isSending = false;
  bool hasMessage = false;     // that it has not taken
  kj::Own<kj::PromiseFulfiller<void>> more;  // wakes who sends
  bool isDistrusted = false;
  bool speaksNot = false;      // bitswap
  ByteAllowance allowance;     // of what it asks for

  // Blocks of it that are waited for, and who waits for one of these to be over.
  kj::uint inFlight = 0;
  std::deque<kj::Own<kj::PromiseFulfiller<void>>> queue;
  kj::uint users = 0;          // both: use()
  kj::Maybe<kj::TimePoint> lastWanted;  // that one was waited for

  // What came of it: blocks that it was asked for, each once, and for now what there is of messages
  // that are not whole. How long it is waited for (waitsUntil()) counts from `begin`.
  uint64_t useful = 0, partial = 0;
  uint64_t usefulBefore = 0;   // of all peers
  kj::TimePoint begin = kj::origin<kj::TimePoint>();
  kj::TimePoint lastUseful = begin, lastPart = begin;

  // What it was asked for last and has not given.
  struct Owed {
    Cid cid;
    kj::TimePoint since;
    uint64_t before;  // bytes that had come
  };
  std::deque<Owed> owed;

  // That it takes for LEAF_BYTES, or for a block that is less, by what came of it; 0: not known.
  kj::Duration leafTime = 0 * kj::SECONDS;
  kj::Maybe<Cid> slowOf;                // the image of which the log has that it is slow

  // How often it did not answer in time since it gave a block, and the last time.
  kj::uint timesLate = 0;
  kj::TimePoint lateAt = kj::origin<kj::TimePoint>();

  bool isUsable() const { return !isDistrusted && !speaksNot && timesLate <= MAX_LATE; }
  // It gave a block, and was not late since.
  bool isProven() const { return useful > 0 && timesLate == 0; }
  bool isWanted() const { return inFlight > 0; }
  bool isServed() const { return streams > 0 && leave.get() != nullptr; }
  bool isIdle() const { return streams == 0 && !isSending && users == 0; }

  // Whether there is anything about it that is to be remembered.
  bool isPlain(kj::TimePoint now) const {
    return isUsable() && timesLate == 0 && leafTime < ALONE_TIME && allowance.isWhole(now);
  }

  // Whether a block may still come that it was asked for, late or not.
  bool mayGive(kj::TimePoint now) const {
    if (isWanted()) return true;
    return lastWanted.map([&](kj::TimePoint t) { return now < t + LATE_TIME; }).orDefault(false);
  }

  // Until its streams are to end.
  kj::Promise<void> beServed() {
    if (!isServed()) {
      auto pair = kj::newPromiseAndFulfiller<void>();
      leave = kj::mv(pair.fulfiller);
      onLeave = pair.promise.fork();
    }
    return KJ_ASSERT_NONNULL(onLeave).addBranch();
  }
  void endStreams() {
    leave->fulfill();
    leave = nullptr;
  }

  void restart(kj::TimePoint now, uint64_t usefulOfAll) {
    begin = lastUseful = now;
    usefulBefore = usefulOfAll;
  }

  void owe(const Cid& cid, kj::TimePoint now) {
    std::erase_if(owed, [&](Owed& one) { return one.cid == cid && now >= one.since + TRY_TIME; });
    if (owes(cid)) return;
    owed.push_back(Owed{cid.clone(), now, getBytes()});
    if (owed.size() > MAX_OWED) owed.pop_front();
  }
  bool owes(const Cid& cid) const {
    for (auto& one: owed) {
      if (one.cid == cid) return true;
    }
    return false;
  }
  // Where it owes one that `is` the one.
  template <typename Is>
  kj::Maybe<Owed> takeOwed(Is&& is) {
    kj::Maybe<Owed> taken;
    std::erase_if(owed, [&](Owed& one) {
      if (!is(one.cid)) return false;
      taken = kj::mv(one);
      return true;
    });
    return taken;
  }
  uint64_t getBytes() const { return useful + partial; }
  // What of a message was no such block, counts no more.
  uint64_t getBytesSince(uint64_t before) const { return kj::max(getBytes(), before) - before; }

  // It did not answer what it was asked at `begin`. What it was asked at once is late once.
  void beLate(kj::TimePoint begin, kj::TimePoint now) {
    if (useful == 0) leafTime = MOST_LEAF_TIME;
    if (timesLate > 0 && begin < lateAt) return;
    ++timesLate;
    lateAt = now;
  }

  kj::Promise<void> onTurn() {
    std::erase_if(queue, [](auto& one) { return !one->isWaiting(); });
    auto pair = kj::newPromiseAndFulfiller<void>();
    queue.push_back(kj::mv(pair.fulfiller));
    return kj::mv(pair.promise);
  }
  void passTurn() {
    while (!queue.empty()) {
      auto next = kj::mv(queue.front());
      queue.pop_front();
      if (!next->isWaiting()) continue;
      next->fulfill();
      return;
    }
  }
};

// A peer that is asked for a block.
struct Bitswap::Ask {
  Ask(PeerState& peer, kj::Own<void> use, kj::TimePoint begin)
      : peer(peer), begin(begin), before(peer.getBytes()), use(kj::mv(use)) {}

  PeerState& peer;
  const kj::TimePoint begin;
  const uint64_t before;  // bytes that had come of it
  kj::Maybe<kj::TimePoint> turn;  // since when the block itself is waited for
  bool isOver = false;
  const kj::Own<void> use;
  kj::Promise<void> task = nullptr;  // the last member, since it uses the others
};

struct Bitswap::Want {
  Want(const Cid& root, const Cid& cid) : root(root.clone()), cid(cid.clone()) {}

  const Cid root, cid;
  kj::Maybe<kj::Array<const kj::byte>> block;
  kj::HashSet<kj::String> asked, nots, late;  // `asked`: those in the others too
  kj::HashSet<kj::String> hads;               // that ever said that they have it
  std::deque<kj::String> haves;               // of these, those that are still to be asked for it
  kj::uint silent = 0;  // of those who count as having said no
  std::deque<kj::Own<kj::PromiseFulfiller<void>>> waiting;
  std::list<Ask> asks;  // the longest first; the last member, since these use the others

  kj::Promise<void> onChange() {
    std::erase_if(waiting, [](auto& one) { return !one->isWaiting(); });
    auto pair = kj::newPromiseAndFulfiller<void>();
    waiting.push_back(kj::mv(pair.fulfiller));
    return kj::mv(pair.promise);
  }
  void change() {
    for (auto& one: waiting) one->fulfill();
  }
  kj::Promise<void> untilHad() {
    while (block == nullptr) co_await onChange();
  }

  // Whether anybody is asked for it itself. Not to be called by these.
  bool isGiven() {
    asks.remove_if([](Ask& ask) { return ask.isOver; });
    return !asks.empty();
  }
  bool isAskedForIt(kj::StringPtr peer) const {
    for (auto& ask: asks) {
      if (!ask.isOver && ask.peer.name == peer) return true;
    }
    return false;
  }
  bool isAskedOfProven() const {
    for (auto& ask: asks) {
      if (!ask.isOver && ask.peer.isProven()) return true;
    }
    return false;
  }
  bool isOver(kj::StringPtr peer) const { return block != nullptr || saidNot(peer); }
  bool saidNot(kj::StringPtr peer) const { return nots.find(peer) != nullptr; }
  bool hasAsked(kj::StringPtr peer) const { return asked.find(peer) != nullptr; }
  void ask(kj::StringPtr peer) { asked.upsert(kj::str(peer), [](auto&, auto&&) {}); }
  // Once each, however often a peer says it.
  void sayHave(kj::StringPtr peer) {
    if (hads.find(peer) != nullptr) return;
    hope(peer);
    change();
  }
  // That it has it, though it may have been late.
  void hope(kj::StringPtr peer) {
    hads.upsert(kj::str(peer), [](auto&, auto&&) {});
    late.eraseMatch(peer);
    haves.push_back(kj::str(peer));
  }
  void sayNot(kj::StringPtr peer) {
    if (saidNot(peer)) return;
    nots.insert(kj::str(peer));
    late.eraseMatch(peer);
    change();
  }
  void beLate(kj::StringPtr peer) {
    if (!saidNot(peer)) late.upsert(kj::str(peer), [](auto&, auto&&) {});
  }
  bool isLate(kj::StringPtr peer) const { return late.find(peer) != nullptr; }
  bool hasAnswer(kj::StringPtr peer) const { return saidNot(peer) || isLate(peer); }
  bool isSilent(kj::StringPtr peer) const {
    return !hasAnswer(peer) && hads.find(peer) == nullptr && !isAskedForIt(peer);
  }
  bool haveAllAnswered() const {
    for (auto& peer: asked) {
      if (isSilent(peer)) return false;
    }
    return true;
  }
};

}  // namespace ww
