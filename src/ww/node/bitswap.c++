#include <ww/node/bitswap.h>

#include <kj/debug.h>
#include <kj/refcount.h>
#include <ww/base/error.h>
#include <ww/image/breath.h>
#include <ww/node/bitswap-peer.h>

namespace ww {
namespace {

constexpr size_t MAX_WRITTEN = 16 << 10;  // before it is seen how long that takes
constexpr size_t MAX_ITEMS = 200;  // of one message, which is within its bound with its blocks too

}  // namespace

using MaybeMessage = kj::Promise<kj::Maybe<kj::Array<kj::byte>>>;

struct Bitswap::Link final: public kj::Refcounted {
  explicit Link(Bitswap& bitswap) : bitswap(bitswap) {}
  kj::Maybe<Bitswap&> bitswap;
};

Bitswap::Bitswap(Swarm& swarm, ImageStore& store, kj::Timer& timer, Logger& logger,
                 DialScope scope)
    : swarm(swarm), store(store), timer(timer), logger(logger), scope(scope),
      link(kj::refcounted<Link>(*this)), allowance(ALL_BYTES_PER_SECOND, timer.now()),
      tasks(*this) {
  swarm.serve(BITSWAP, [link = kj::addRef(*link)](PeerStream stream) {
    KJ_IF_MAYBE(bitswap, link->bitswap) bitswap->welcome(kj::mv(stream));
  });
}

Bitswap::~Bitswap() noexcept(false) { link->bitswap = nullptr; }

void Bitswap::welcome(PeerStream stream) {
  auto name = stream.peer.toText();
  auto& peer = stateOf(stream.peer);
  if (peer.streams >= MAX_STREAMS) return;  // the stream ends
  if (!peer.isServed()) makeRoom(isAwaited(name) ? MAX_SERVED : MAX_SERVED - 1);
  ++peer.streams;
  peer.lastHeard = ++heard;
  charge(peer, STREAM_BYTES);
  tasks.add(listen(kj::mv(name), kj::mv(stream.stream)));
}

kj::Promise<void> Bitswap::listen(kj::String name, kj::Own<kj::AsyncIoStream> stream) {
  auto& peer = KJ_ASSERT_NONNULL(findState(name));  // which stays while it has a stream
  KJ_DEFER({
    --peer.streams;
    dropIfIdle(name);
  });
  co_await takeAll(peer, *stream).exclusiveJoin(peer.beServed());
}

kj::Promise<void> Bitswap::takeAll(PeerState& peer, kj::AsyncIoStream& stream) {
  do {
    co_await untilAllowed(peer);
  } while (co_await takeNext(peer, stream));
}

kj::Promise<bool> Bitswap::takeNext(PeerState& peer, kj::AsyncIoStream& stream) {
  {
    kj::Maybe<kj::Array<kj::byte>> bytes;
    {
      size_t part = 0;
      KJ_DEFER(hearWhole(peer, part));
      bytes = co_await readNext(peer, stream, part);
    }
    if (bytes == nullptr) co_return false;
    auto& message = KJ_ASSERT_NONNULL(bytes);
    if (!peer.isWanted()) charge(peer, message.size());
    take(peer, BitswapMessage::decode(message));
  }
  co_await Breath::take();
  co_return true;
}

// Nothing where the stream ends, and where nothing comes for SILENT_TIME. `part` is how much of the
// message there is.
kj::Promise<kj::Maybe<kj::Array<kj::byte>>> Bitswap::readNext(PeerState& peer,
                                                              kj::AsyncIoStream& stream,
                                                              size_t& part) {
  Patience patience(timer.now(), SILENT_TIME, LEAST_RATE, MAX_BITSWAP_BYTES);
  auto reading = readBitswap(stream, [&]() {
    return peer.mayGive(timer.now()) ? MAX_BITSWAP_BYTES : MAX_WANTS_BYTES;
  }, [&](size_t bytes) {
    patience.hear(bytes, timer.now());
    peer.lastHeard = ++heard;
    hearPart(peer, part, bytes);
  });
  co_return co_await reading.exclusiveJoin(untilSilent(peer, patience, part));
}

MaybeMessage Bitswap::untilSilent(PeerState& peer, Patience& patience, const size_t& part) {
  for (;;) {
    auto end = patience.getEnd();
    if (peer.isWanted()) end = kj::max(end, waitsUntil(peer));
    if (timer.now() >= end) {
      if (part > 0 || (!peer.hasMessage && peer.outbox.empty())) co_return nullptr;
      end = timer.now() + SILENT_TIME;  // it waits for what it is sent
    }
    co_await timer.atTime(end);
  }
}

void Bitswap::hearPart(PeerState& peer, size_t& part, size_t bytes) {
  part += bytes;
  peer.partial += bytes;
  partial += bytes;
  peer.lastPart = timer.now();
}

// What it brought of use counts from now on, and the rest of it no more.
void Bitswap::hearWhole(PeerState& peer, size_t part) {
  peer.partial -= part;
  partial -= part;
}

void Bitswap::hearUseful(PeerState& peer, size_t bytes) {
  peer.useful += bytes;
  useful += bytes;
  peer.lastUseful = timer.now();
}

// A peer that gives what is wanted of it waits for nobody else.
kj::Promise<void> Bitswap::untilAllowed(PeerState& peer) {
  for (;;) {
    auto next = peer.allowance.getNext();
    if (!peer.isWanted()) next = kj::max(next, allowance.getNext());
    if (next <= timer.now()) co_return;
    ++peer.held;
    KJ_DEFER(--peer.held);
    co_await timer.atTime(next);
  }
}

void Bitswap::charge(PeerState& peer, uint64_t bytes) {
  peer.allowance.take(bytes, timer.now());
  allowance.take(bytes, timer.now());
}

void Bitswap::take(PeerState& peer, BitswapMessage message) {
  charge(peer, (message.wants.size() + message.presences.size()) * QUESTION_BYTES);
  for (auto& want: message.wants) answer(peer, want);
  for (auto& presence: message.presences) {
    for (auto want: wants) {
      if (!(want->cid == presence.cid)) continue;
      if (!want->hasAsked(peer.name)) continue;  // nor does it count as an answer
      if (presence.has) {
        want->sayHave(peer.name);
      } else {
        want->sayNot(peer.name);
        forgetGood(peer.name);
      }
    }
  }
  for (auto& block: message.blocks) {
    if (peer.isDistrusted || wants.empty()) return;
    takeBlock(peer, kj::mv(block));
  }
}

void Bitswap::answer(PeerState& peer, const BitswapMessage::Want& want) {
  if (want.cancel) {
    std::erase_if(peer.outbox, [&](Item& item) {
      auto cid = item.tryGet<Cid>();
      return cid != nullptr && KJ_ASSERT_NONNULL(cid) == want.cid;
    });
    return;
  }
  bool has = store.findSharedSize(want.cid) != nullptr;
  if (has && want.blockItself) {
    send(peer, want.cid.clone());
  } else if (has || want.sayIfNot) {
    send(peer, BitswapMessage::Presence{want.cid.clone(), has});
  }
}

void Bitswap::takeBlock(PeerState& peer, BitswapMessage::Block block) {
  auto found = Cid::findLike(block.prefix, block.bytes);
  auto is = [&](const Cid& cid) {
    return found.map([&](Cid& own) { return own == cid; }).orDefault(false);
  };
  auto asked = peer.takeOwed(is);
  bool isAwaited = asked != nullptr;
  if (isAwaited) hearUseful(peer, block.bytes.size());
  bool isWantedNow = false;
  for (auto want: wants) {
    if (want->block != nullptr || !is(want->cid)) continue;
    want->block = kj::heapArray<const kj::byte>(block.bytes);
    want->change();
    isWantedNow = true;
  }
  if (isWantedNow) {
    KJ_IF_MAYBE(owed, asked) {
      gave(peer, timer.now() - owed->since, peer.getBytesSince(owed->before));
    } else {
      gave(peer, 0 * kj::SECONDS, 0);
    }
    return;
  }
  if (isAwaited || !peer.isWanted()) return;  // late, or nobody asked: it is no lie
  for (auto& cid: recent) {
    if (is(cid)) return;
  }
  distrust(peer);
}

// Who takes least time for a block is asked first the next time. Who was slow is trusted by and by.
void Bitswap::gave(PeerState& peer, kj::Duration took, uint64_t bytes) {
  peer.leafTime = kj::max(kj::min(took, leafTimeAt(took, bytes)), peer.leafTime / 2);
  peer.timesLate = 0;
  peer.restart(timer.now(), useful);
  if (peer.leafTime >= ALONE_TIME) return;
  auto best = findState(lastGood);
  auto isFaster = best.map([&](PeerState& best) { return peer.leafTime <= best.leafTime; });
  if (isFaster.orDefault(true)) lastGood = kj::str(peer.name);
}

kj::Duration Bitswap::leafTimeAt(kj::Duration time, uint64_t bytes) {
  auto bounded = kj::min(time, 1 * kj::DAYS);
  return kj::min(bounded * int64_t(LEAF_BYTES >> 10) / int64_t((bytes >> 10) + 1), MOST_LEAF_TIME);
}

void Bitswap::distrust(PeerState& peer) {
  logger.log(LogLevel::WARNING,
             "a peer sent a block that is not what it was asked for; it is asked no more",
             {{"peer", kj::str(peer.name)}});
  peer.isDistrusted = true;
  forgetGood(peer.name);
  sayNot(peer.name);
}

void Bitswap::sayNot(kj::StringPtr peer) {
  for (auto want: wants) {
    if (want->hasAsked(peer)) want->sayNot(peer);
  }
}

void Bitswap::send(PeerState& peer, Item item) {
  if (peer.outbox.size() >= MAX_WAITING) return;
  peer.outbox.push_back(kj::mv(item));
  if (peer.more.get() != nullptr) peer.more->fulfill();
  if (peer.isSending) return;
  peer.isSending = true;
  tasks.add(sendAll(kj::str(peer.name)));
}

// What cannot be sent is dropped: who waits for an answer to it hears that there is none.
kj::Promise<void> Bitswap::sendAll(kj::String name) {
  KJ_DEFER({
    KJ_IF_MAYBE(peer, findState(name)) {
      peer->isSending = peer->hasMessage = false;
      peer->outbox.clear();
    }
    dropIfIdle(name);
  });
  for (Sending sending;;) {
    auto begin = timer.now();
    kj::Maybe<kj::Exception> failure;
    co_await openAndSend(name, sending).catch_([&](kj::Exception&& e) { failure = kj::mv(e); });
    KJ_IF_MAYBE(e, failure) {
      // A stream that it took something by may be of a process that ended, and is there anew.
      if (sending.taken > 0 && sending.message != nullptr) continue;
      KJ_IF_MAYBE(peer, findState(name)) {
        peer->speaksNot = e->getType() == kj::Exception::Type::UNIMPLEMENTED;
        // Or what it says to a stream is long in coming, behind the blocks that it sends.
        bool isBehind = !sending.isOpen && !peer->speaksNot && peer->mayGive(timer.now()) &&
                        peer->lastPart > begin && timer.now() >= begin + BLOCK_TIME;
        if (isBehind) continue;
      }
      sayNot(name);
    }
    co_return;
  }
}

kj::Promise<void> Bitswap::openAndSend(kj::StringPtr name, Sending& sending) {
  sending.taken = 0;
  sending.isOpen = false;
  auto& peer = KJ_ASSERT_NONNULL(findState(name));  // which stays while it is being sent to
  auto stream = co_await swarm.open(peer.id, BITSWAP).exclusiveJoin(untilUnheard(peer));
  sending.isOpen = true;
  co_await sendWhileAny(peer, sending, *stream);
}

// What it answers may be behind the blocks that it sends: its line may hold them for minutes.
kj::Promise<kj::Own<kj::AsyncIoStream>> Bitswap::untilUnheard(PeerState& peer) {
  auto begin = timer.now();
  for (;;) {
    auto last = peer.mayGive(timer.now()) ? kj::max(begin, peer.lastPart) : begin;
    auto end = last + SEND_TIME;
    if (timer.now() >= end) kj::throwFatalException(late("it takes no stream"));
    co_await timer.atTime(end);
  }
}

// While there is something of it to be waited for the stream stays: another may be long in coming.
kj::Promise<void> Bitswap::sendWhileAny(PeerState& peer, Sending& sending,
                                        kj::AsyncIoStream& stream) {
  for (;;) {
    while (sending.message != nullptr || !peer.outbox.empty()) {
      if (sending.message == nullptr) {
        if (peer.outbox.front().is<Cid>()) co_await untilAllowed(peer);
        if (peer.outbox.empty()) break;  // it was taken back
        sending.message = nextMessage(peer).encode();
        peer.hasMessage = true;
      }
      co_await write(stream, sending.message);
      sending.message = nullptr;
      peer.hasMessage = false;
      ++sending.taken;
      co_await Breath::take();
    }
    auto pair = kj::newPromiseAndFulfiller<void>();
    peer.more = kj::mv(pair.fulfiller);
    co_await pair.promise.exclusiveJoin(timer.afterDelay(IDLE_TIME));
    peer.more = nullptr;
    if (peer.outbox.empty() && !peer.isWanted()) co_return stream.shutdownWrite();
  }
}

// As long as it is read, and no slower than so.
kj::Promise<void> Bitswap::write(kj::AsyncIoStream& stream, kj::ArrayPtr<const kj::byte> message) {
  Patience patience(timer.now(), SEND_TIME, LEAST_READ_RATE, message.size());
  while (message.size() > 0) {
    auto part = message.slice(0, kj::min(message.size(), MAX_WRITTEN));
    auto writing = stream.write(part.begin(), part.size());
    co_await timer.timeoutAt(patience.getEnd(), kj::mv(writing));
    patience.hear(part.size(), timer.now());
    message = message.slice(part.size(), message.size());
  }
}

BitswapMessage Bitswap::nextMessage(PeerState& peer) {
  BitswapMessage message;
  size_t bytes = 0;
  for (size_t items = 0; items < MAX_ITEMS && !peer.outbox.empty(); items++) {
    auto& item = peer.outbox.front();
    KJ_SWITCH_ONEOF(item) {
      KJ_CASE_ONEOF(want, BitswapMessage::Want) { message.wants.add(kj::mv(want)); }
      KJ_CASE_ONEOF(presence, BitswapMessage::Presence) {
        message.presences.add(kj::mv(presence));
      }
      KJ_CASE_ONEOF(cid, Cid) {
        auto size = store.findSharedSize(cid).orDefault(0);
        if (bytes > 0 && bytes + size > MAX_TOGETHER) return message;
        KJ_IF_MAYBE(block, store.findShared(cid)) {
          bytes += block->size();
          charge(peer, block->size());
          KJ_IF_MAYBE(callback, sent) (*callback)(peer.id, cid, block->size());
          message.blocks.add(BitswapMessage::Block{BitswapMessage::prefixOf(cid),
                                                   kj::mv(*block)});
        } else {
          message.presences.add(BitswapMessage::Presence{cid.clone(), false});
        }
      }
    }
    peer.outbox.pop_front();
  }
  return message;
}

void Bitswap::taskFailed(kj::Exception&& exception) {
  logger.log(LogLevel::DEBUG, "a peer's bitswap ended",
             {{"cause", kj::str(exception.getDescription())}});
}

}  // namespace ww
