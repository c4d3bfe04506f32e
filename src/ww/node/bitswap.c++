#include <ww/node/bitswap.h>

#include <kj/debug.h>
#include <kj/one-of.h>
#include <kj/refcount.h>
#include <ww/base/error.h>
#include <ww/base/protobuf.h>

namespace ww {
namespace {

constexpr size_t MAX_ITEMS = 200;  // of one message, which is within its bound with its blocks too
constexpr size_t MAX_RECENT = 64;

// Under which the DHT has it, whatever the version and the codec.
kj::ArrayPtr<const kj::byte> multihashOf(const Cid& cid) {
  constexpr kj::byte VERSION_1 = 1;
  auto rest = cid.getBytes();
  if (rest[0] == VERSION_1) {
    takeVarint(rest);
    takeVarint(rest);
  }
  return rest;
}

}  // namespace

struct Bitswap::Link final: public kj::Refcounted {
  explicit Link(Bitswap& bitswap) : bitswap(bitswap) {}
  kj::Maybe<Bitswap&> bitswap;
};

struct Bitswap::PeerState {
  explicit PeerState(const PeerId& id) : id(id.clone()), name(id.toText()) {}

  const PeerId id;
  const kj::String name;
  kj::uint streams = 0;        // that it has open
  kj::uint blocksWanted = 0;   // of it, now
  std::deque<Item> outbox;
  bool isSending = false;
  kj::Own<kj::PromiseFulfiller<void>> more;  // wakes who sends
  bool isDistrusted = false;
  bool speaksNot = false;      // bitswap

  bool isUsable() const { return !isDistrusted && !speaksNot; }
};

// A block that is waited for, and what peers have said of it.
struct Bitswap::Want {
  explicit Want(Cid cid) : cid(kj::mv(cid)) {}

  const Cid cid;
  kj::Maybe<kj::Array<const kj::byte>> block;
  kj::HashSet<kj::String> asked, nots;
  std::deque<kj::String> haves;
  kj::Own<kj::PromiseFulfiller<void>> wake;

  kj::Promise<void> onChange() {
    auto pair = kj::newPromiseAndFulfiller<void>();
    wake = kj::mv(pair.fulfiller);
    return kj::mv(pair.promise);
  }
  void change() {
    if (wake.get() != nullptr) wake->fulfill();
  }
  bool saidNot(kj::StringPtr peer) const { return nots.find(peer) != nullptr; }
  void sayNot(kj::StringPtr peer) {
    nots.upsert(kj::str(peer), [](auto&, auto&&) {});
    change();
  }
  bool haveAllAnswered() const { return asked.size() <= nots.size(); }
};

class Bitswap::Source final: public BlockSource {
 public:
  explicit Source(Bitswap& bitswap) : bitswap(bitswap) {}
  kj::StringPtr getName() const override { return "peers"; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) override {
    return bitswap.fetch(cid.clone());
  }

 private:
  Bitswap& bitswap;
};

Bitswap::Bitswap(Swarm& swarm, ImageStore& store, kj::Timer& timer, Logger& logger,
                 DialScope scope)
    : swarm(swarm), store(store), timer(timer), logger(logger), scope(scope),
      link(kj::refcounted<Link>(*this)), tasks(*this) {
  swarm.serve(BITSWAP, [link = kj::addRef(*link)](PeerStream stream) {
    KJ_IF_MAYBE(bitswap, link->bitswap) bitswap->welcome(kj::mv(stream));
  });
}

Bitswap::~Bitswap() noexcept(false) { link->bitswap = nullptr; }

kj::Own<BlockSource> Bitswap::makeSource() { return kj::heap<Source>(*this); }

kj::Maybe<Bitswap::PeerState&> Bitswap::findState(kj::StringPtr peer) {
  return peers.find(peer).map([](kj::Own<PeerState>& state) -> PeerState& { return *state; });
}

Bitswap::PeerState& Bitswap::stateOf(const PeerId& id) {
  auto& state = peers.findOrCreate(id.toText(), [&]() {
    return decltype(peers)::Entry{id.toText(), kj::heap<PeerState>(id)};
  });
  return *state;
}

void Bitswap::dropIfIdle(kj::StringPtr peer) {
  KJ_IF_MAYBE(state, findState(peer)) {
    bool isIdle = state->streams == 0 && !state->isSending && state->blocksWanted == 0;
    if (isIdle && (state->isUsable() || !swarm.isConnected(state->id))) peers.erase(state->name);
  }
}

// What is known of a peer holds while it is connected.
void Bitswap::dropStrangers() {
  auto names = KJ_MAP(entry, peers) { return kj::str(entry.key); };
  for (auto& name: names) dropIfIdle(name);
}

void Bitswap::welcome(PeerStream stream) {
  auto name = stream.peer.toText();
  if (findState(name) == nullptr && peers.size() >= MAX_SERVED) {
    dropStrangers();
    if (peers.size() >= MAX_SERVED) return;  // its stream ends
  }
  auto& peer = stateOf(stream.peer);
  if (peer.streams >= MAX_STREAMS) return;
  ++peer.streams;
  tasks.add(listen(kj::mv(name), kj::mv(stream.stream)));
}

kj::Promise<void> Bitswap::listen(kj::String name, kj::Own<kj::AsyncIoStream> stream) {
  KJ_DEFER({
    KJ_IF_MAYBE(peer, findState(name)) --peer->streams;
    dropIfIdle(name);
  });
  for (;;) {
    auto bytes = co_await readBitswap(*stream, [this, &name]() {
      auto& peer = KJ_ASSERT_NONNULL(findState(name));
      return peer.blocksWanted > 0 ? MAX_BITSWAP_BYTES : MAX_WANTS_BYTES;
    });
    KJ_IF_MAYBE(message, bytes) {
      take(KJ_ASSERT_NONNULL(findState(name)), BitswapMessage::decode(*message));
    } else {
      co_return;
    }
  }
}

void Bitswap::take(PeerState& peer, BitswapMessage message) {
  for (auto& want: message.wants) answer(peer, want);
  for (auto& presence: message.presences) {
    for (auto want: wants) {
      if (!(want->cid == presence.cid) || want->asked.find(peer.name) == nullptr) continue;
      if (!presence.has) {
        want->sayNot(peer.name);
      } else if (want->haves.size() < MAX_ASKED) {
        want->haves.push_back(kj::str(peer.name));
        want->change();
      }
    }
  }
  for (auto& block: message.blocks) takeBlock(peer, kj::mv(block));
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
  auto isOf = [&](const Cid& cid) {
    return block.prefix == BitswapMessage::prefixOf(cid) && cid.isOf(block.bytes);
  };
  for (auto want: wants) {
    if (want->block != nullptr || !isOf(want->cid)) continue;
    want->block = kj::mv(block.bytes);
    lastGood = kj::str(peer.name);
    want->change();
    return;
  }
  if (peer.blocksWanted == 0) return;  // late, or nobody asked: it is not even looked at
  for (auto& cid: recent) {
    if (isOf(cid)) return;
  }
  distrust(peer);
}

void Bitswap::distrust(PeerState& peer) {
  logger.log(LogLevel::WARNING,
             "a peer sent a block that is not what it was asked for; it is asked no more",
             {{"peer", kj::str(peer.name)}});
  peer.isDistrusted = true;
  if (lastGood == peer.name) lastGood = kj::String();
  sayNot(peer.name);
}

void Bitswap::sayNot(kj::StringPtr peer) {
  for (auto want: wants) {
    if (want->asked.find(peer) != nullptr) want->sayNot(peer);
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
      peer->isSending = false;
      peer->outbox.clear();
    }
    dropIfIdle(name);
  });
  auto failed = [&](kj::Exception&& e) {
    KJ_IF_MAYBE(peer, findState(name)) {
      peer->speaksNot = e.getType() == kj::Exception::Type::UNIMPLEMENTED;
    }
    sayNot(name);
  };
  auto opening = swarm.open(KJ_ASSERT_NONNULL(findState(name)).id, BITSWAP);
  co_await timer.timeoutAfter(SEND_TIME, kj::mv(opening))
      .then([&](kj::Own<kj::AsyncIoStream> stream) {
    auto sending = sendWhileAny(kj::str(name), *stream);
    return sending.attach(kj::mv(stream));
  }).catch_(failed);
}

kj::Promise<void> Bitswap::sendWhileAny(kj::String name, kj::AsyncIoStream& stream) {
  auto& peer = KJ_ASSERT_NONNULL(findState(name));  // which stays while it is being sent to
  for (;;) {
    while (!peer.outbox.empty()) {
      auto bytes = nextMessage(peer).encode();
      co_await timer.timeoutAfter(SEND_TIME, stream.write(bytes.begin(), bytes.size()));
    }
    auto pair = kj::newPromiseAndFulfiller<void>();
    peer.more = kj::mv(pair.fulfiller);
    co_await pair.promise.exclusiveJoin(timer.afterDelay(IDLE_TIME));
    peer.more = nullptr;
    if (peer.outbox.empty()) co_return stream.shutdownWrite();
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
        if (bytes > 0 && bytes + size > MAX_BLOCK_BYTES) return message;
        KJ_IF_MAYBE(block, store.findShared(cid)) {
          bytes += block->size();
          KJ_IF_MAYBE(callback, sent) (*callback)(cid, block->size());
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

kj::Promise<kj::Array<const kj::byte>> Bitswap::fetch(Cid cid) {
  Want want(kj::mv(cid));
  wants.add(&want);
  KJ_DEFER({
    for (auto& other: wants) {
      if (other == &want) other = wants.back();
    }
    wants.removeLast();
    recent.push_back(want.cid.clone());
    if (recent.size() > MAX_RECENT) recent.pop_front();
  });
  dropStrangers();
  co_await askLastGood(want);
  if (want.block == nullptr) co_await askAll(want);
  if (want.block == nullptr) {
    co_await meetProviders(want.cid).exclusiveJoin(timer.afterDelay(FIND_TIME))
        .catch_([](kj::Exception&&) {});
    co_await askAll(want);
  }
  KJ_IF_MAYBE(block, want.block) co_return kj::mv(*block);
  if (want.asked.size() == 0) {
    kj::throwFatalException(badInput("no peer is connected that has any"));
  }
  kj::throwFatalException(badInput(kj::str("none of the ", want.asked.size(),
                                           " that were asked has it")));
}

kj::Promise<void> Bitswap::meetProviders(const Cid& cid) {
  auto found = co_await swarm.findProviders(multihashOf(cid));
  kj::Vector<kj::Promise<void>> dials;
  for (auto& peer: found) {
    if (dials.size() == MAX_PROVIDERS) break;
    if (peer == swarm.getPeerId() || swarm.isConnected(peer)) continue;
    dials.add(swarm.connect(peer, nullptr, scope).catch_([](kj::Exception&&) {}));
  }
  co_await kj::joinPromises(dials.releaseAsArray());
}

void Bitswap::provide(const Cid& root) { swarm.provide(multihashOf(root)); }

kj::Promise<void> Bitswap::askLastGood(Want& want) {
  if (lastGood.size() == 0) co_return;
  KJ_IF_MAYBE(id, PeerId::parseText(lastGood)) {
    if (!swarm.isConnected(*id) || !stateOf(*id).isUsable()) co_return;
    co_await askForBlock(want, kj::str(lastGood));
  }
}

// Whether they have it; and those that do for it, one after the other.
kj::Promise<void> Bitswap::askAll(Want& want) {
  auto before = want.asked.size();
  for (auto& other: swarm.getPeers()) {
    auto name = other.id.toText();
    if (want.asked.size() >= MAX_ASKED || want.asked.find(name) != nullptr) continue;
    auto& peer = stateOf(other.id);
    if (!peer.isUsable()) continue;
    want.asked.insert(kj::mv(name));
    send(peer, BitswapMessage::Want{want.cid.clone(), false, false, true});
  }
  if (want.asked.size() == before) co_return;  // nobody that was not asked already
  auto deadline = timer.now() + ANSWER_TIME;
  while (want.block == nullptr) {
    if (!want.haves.empty()) {
      auto peer = kj::mv(want.haves.front());
      want.haves.pop_front();
      if (!want.saidNot(peer)) co_await askForBlock(want, kj::mv(peer));
    } else if (want.haveAllAnswered() || timer.now() >= deadline) {
      co_return;
    } else {
      co_await want.onChange().exclusiveJoin(timer.atTime(deadline));
    }
  }
}

kj::Promise<void> Bitswap::askForBlock(Want& want, kj::String name) {
  KJ_IF_MAYBE(id, PeerId::parseText(name)) {
    auto& peer = stateOf(*id);
    ++peer.blocksWanted;
    want.asked.upsert(kj::str(name), [](auto&, auto&&) {});
    send(peer, BitswapMessage::Want{want.cid.clone(), false, true, true});
  }
  bool isLate = true;  // or nobody waits any more
  KJ_DEFER({
    KJ_IF_MAYBE(peer, findState(name)) {
      --peer->blocksWanted;
      if (isLate) {
        send(*peer, BitswapMessage::Want{want.cid.clone(), true});
      }
    }
    dropIfIdle(name);
  });
  auto deadline = timer.now() + BLOCK_TIME;
  while (want.block == nullptr && !want.saidNot(name) && timer.now() < deadline) {
    co_await want.onChange().exclusiveJoin(timer.atTime(deadline));
  }
  isLate = want.block == nullptr && !want.saidNot(name);
  if (isLate) want.sayNot(name);
}

void Bitswap::taskFailed(kj::Exception&& exception) {
  logger.log(LogLevel::DEBUG, "a peer's bitswap ended",
             {{"cause", kj::str(exception.getDescription())}});
}

}  // namespace ww
