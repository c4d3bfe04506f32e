#pragma once
// What Bitswap knows of a peer, and of a block that it waits for. Private to it.

#include <kj/debug.h>
#include <kj/one-of.h>
#include <ww/image/patience.h>
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
  kj::Own<kj::PromiseFulfiller<void>> more;  // wakes who sends
  bool isDistrusted = false;
  bool speaksNot = false;      // bitswap
  ByteAllowance allowance;     // of what it asks for

  // Blocks of it that are waited for, each for how long; and who waits for one of these to be over.
  kj::Vector<Patience*> inFlight;
  std::deque<kj::Own<kj::PromiseFulfiller<void>>> queue;
  kj::uint users = 0;          // both
  kj::Maybe<kj::TimePoint> lastAsked;  // for a block

  // How often it did not answer in time since it gave a block, and the last time.
  kj::uint timesLate = 0;
  kj::TimePoint lateAt = kj::origin<kj::TimePoint>();

  bool isUsable() const { return !isDistrusted && !speaksNot && timesLate <= MAX_LATE; }
  bool isWanted() const { return !inFlight.empty(); }
  bool isServed() const { return streams > 0 && leave.get() != nullptr; }
  bool isIdle() const { return streams == 0 && !isSending && users == 0; }

  // Whether there is anything about it that is to be remembered.
  bool isPlain(kj::TimePoint now) const {
    return isUsable() && timesLate == 0 && allowance.isWhole(now);
  }

  // Whether a block may still come that it was asked for, late or not.
  bool mayGive(kj::TimePoint now) const {
    return lastAsked.map([&](kj::TimePoint t) { return now < t + LATE_TIME; }).orDefault(false);
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

  void hear(uint64_t bytes, kj::TimePoint now) {
    for (auto patience: inFlight) patience->hear(bytes, now);
  }
  void gave(kj::TimePoint now) {
    timesLate = 0;
    for (auto patience: inFlight) patience->restart(now);
  }
  // It did not answer what it was asked at `begin`. What it was asked at once is late once.
  void beLate(kj::TimePoint begin, kj::TimePoint now) {
    if (timesLate > 0 && begin < lateAt) return;
    ++timesLate;
    lateAt = now;
  }

  kj::Promise<void> onTurn() {
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

struct Bitswap::Want {
  explicit Want(const Cid& cid) : cid(cid.clone()) {}

  const Cid cid;
  kj::Maybe<kj::Array<const kj::byte>> block;
  kj::HashSet<kj::String> asked, nots, late;  // `asked`: those in the others too
  kj::HashSet<kj::String> hads;               // that ever said that they have it
  std::deque<kj::String> haves;               // of these, those that are still to be asked for it
  kj::uint silent = 0;  // of those who count as having said no
  kj::Own<kj::PromiseFulfiller<void>> wake;

  kj::Promise<void> onChange() {
    auto pair = kj::newPromiseAndFulfiller<void>();
    wake = kj::mv(pair.fulfiller);
    return kj::mv(pair.promise);
  }
  void change() {
    if (wake.get() != nullptr) wake->fulfill();
  }
  bool isOver(kj::StringPtr peer) const { return block != nullptr || saidNot(peer); }
  bool saidNot(kj::StringPtr peer) const { return nots.find(peer) != nullptr; }
  bool hasAsked(kj::StringPtr peer) const { return asked.find(peer) != nullptr; }
  void ask(kj::StringPtr peer) { asked.upsert(kj::str(peer), [](auto&, auto&&) {}); }
  // Once each, however often a peer says it.
  void sayHave(kj::StringPtr peer) {
    if (hads.find(peer) != nullptr) return;
    hads.insert(kj::str(peer));
    haves.push_back(kj::str(peer));
    change();
  }
  void sayNot(kj::StringPtr peer) {
    nots.upsert(kj::str(peer), [](auto&, auto&&) {});
    late.eraseMatch(peer);
    change();
  }
  void beLate(kj::StringPtr peer) {
    if (!saidNot(peer)) late.upsert(kj::str(peer), [](auto&, auto&&) {});
  }
  bool hasAnswer(kj::StringPtr peer) const { return saidNot(peer) || late.find(peer) != nullptr; }
  bool haveAllAnswered() const { return asked.size() <= nots.size() + late.size(); }
};

}  // namespace ww
