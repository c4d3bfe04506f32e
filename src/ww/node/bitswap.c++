#include <ww/node/bitswap.h>

#include <kj/debug.h>
#include <kj/refcount.h>
#include <ww/base/error.h>
#include <ww/image/breath.h>
#include <ww/node/bitswap-peer.h>

namespace ww {
namespace {

constexpr size_t MAX_ITEMS = 200;  // of one message, which is within its bound with its blocks too
constexpr size_t MAX_RECENT = 64;

}  // namespace

using MaybeMessage = kj::Promise<kj::Maybe<kj::Array<kj::byte>>>;

struct Bitswap::Link final: public kj::Refcounted {
  explicit Link(Bitswap& bitswap) : bitswap(bitswap) {}
  kj::Maybe<Bitswap&> bitswap;
};

class Bitswap::Source final: public BlockSource {
 public:
  explicit Source(Bitswap& bitswap) : bitswap(bitswap) {}
  kj::StringPtr getName() const override { return "peers"; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) override {
    return bitswap.fetch(cid.clone(), cid.clone());
  }
  kj::Promise<kj::Array<const kj::byte>> fetchOf(const Cid& root, const Cid& cid) override {
    return bitswap.fetch(root.clone(), cid.clone());
  }

 private:
  Bitswap& bitswap;
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

kj::Own<BlockSource> Bitswap::makeSource() { return kj::heap<Source>(*this); }

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
  for (;;) {
    co_await untilAllowed(peer);
    auto bytes = co_await readNext(peer, stream);
    KJ_IF_MAYBE(message, bytes) {
      if (!peer.isWanted()) charge(peer, message->size());
      take(peer, BitswapMessage::decode(*message));
    } else {
      co_return;
    }
    co_await Breath::take();
  }
}

// Nothing where the stream ends, and where nothing comes for SILENT_TIME.
kj::Promise<kj::Maybe<kj::Array<kj::byte>>> Bitswap::readNext(PeerState& peer,
                                                              kj::AsyncIoStream& stream) {
  Patience patience(timer.now(), SILENT_TIME, LEAST_RATE, MAX_BITSWAP_BYTES);
  auto reading = readBitswap(stream, [&]() {
    return peer.mayGive(timer.now()) ? MAX_BITSWAP_BYTES : MAX_WANTS_BYTES;
  }, [&](size_t bytes) {
    patience.hear(bytes, timer.now());
    peer.lastHeard = ++heard;
    peer.hear(bytes, timer.now());
  });
  auto silence = [](kj::Timer& timer, Patience& patience) -> MaybeMessage {
    while (timer.now() < patience.getEnd()) co_await timer.atTime(patience.getEnd());
    co_return nullptr;
  };
  co_return co_await reading.exclusiveJoin(silence(timer, patience));
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
  for (auto want: wants) {
    if (want->block != nullptr || !is(want->cid)) continue;
    want->block = kj::mv(block.bytes);
    lastGood = kj::str(peer.name);
    peer.gave(timer.now());
    want->change();
    return;
  }
  if (!peer.isWanted()) return;  // late, or nobody asked: it is no lie
  for (auto& cid: recent) {
    if (is(cid)) return;
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
      peer->isSending = false;
      peer->outbox.clear();
    }
    dropIfIdle(name);
  });
  for (Sending sending;;) {
    kj::Maybe<kj::Exception> failure;
    co_await openAndSend(name, sending).catch_([&](kj::Exception&& e) { failure = kj::mv(e); });
    KJ_IF_MAYBE(e, failure) {
      // A stream that it took something by may be of a process that ended, and is there anew.
      if (sending.taken > 0 && sending.message != nullptr) continue;
      KJ_IF_MAYBE(peer, findState(name)) {
        peer->speaksNot = e->getType() == kj::Exception::Type::UNIMPLEMENTED;
      }
      sayNot(name);
    }
    co_return;
  }
}

kj::Promise<void> Bitswap::openAndSend(kj::StringPtr name, Sending& sending) {
  sending.taken = 0;
  auto opening = swarm.open(KJ_ASSERT_NONNULL(findState(name)).id, BITSWAP);
  auto stream = co_await timer.timeoutAfter(SEND_TIME, kj::mv(opening));
  co_await sendWhileAny(name, sending, *stream);
}

kj::Promise<void> Bitswap::sendWhileAny(kj::StringPtr name, Sending& sending,
                                        kj::AsyncIoStream& stream) {
  auto& peer = KJ_ASSERT_NONNULL(findState(name));  // which stays while it is being sent to
  for (;;) {
    while (sending.message != nullptr || !peer.outbox.empty()) {
      if (sending.message == nullptr) {
        if (peer.outbox.front().is<Cid>()) co_await untilAllowed(peer);
        if (peer.outbox.empty()) break;  // it was taken back
        sending.message = nextMessage(peer).encode();
      }
      co_await timer.timeoutAfter(SEND_TIME, stream.write(sending.message.begin(),
                                                          sending.message.size()));
      sending.message = nullptr;
      ++sending.taken;
      co_await Breath::take();
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
          charge(peer, block->size());
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

kj::Promise<kj::Array<const kj::byte>> Bitswap::fetch(Cid root, Cid cid) {
  Want want(cid);
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
  co_await askLikely(want, root);
  auto end = timer.now() + TRY_TIME;
  if (want.block == nullptr) co_await askSome(want, nullptr, end);
  if (want.block == nullptr) {
    auto providers = co_await meetProvidersOf(root);
    while (co_await askSome(want, providers->ids, end)) {}
  }
  if (want.block == nullptr) co_await askLate(want, end);
  KJ_IF_MAYBE(block, want.block) co_return kj::mv(*block);
  if (want.asked.size() == 0) {
    kj::throwFatalException(badInput("no peer is connected that has any"));
  }
  auto none = kj::str("none of the ", want.asked.size(), " that were asked has it");
  auto slow = want.late.size() + want.silent;
  if (slow == 0) kj::throwFatalException(badInput(none));
  kj::throwFatalException(late(kj::str(none, ": ", slow, " did not answer in time")));
}

// Once an image for all of its blocks: what a search has found is connected then.
kj::Promise<kj::Own<Bitswap::Providers>> Bitswap::meetProvidersOf(const Cid& root) {
  std::erase_if(searches, [&](Search& search) {
    return timer.now() >= search.begin + FIND_AGAIN;
  });
  for (auto& search: searches) {
    if (search.root == root) return search.end.addBranch();
  }
  if (searches.size() >= MAX_RECENT) searches.pop_front();
  auto providers = kj::refcounted<Providers>();
  auto searching = meetProviders(root, *providers).exclusiveJoin(timer.afterDelay(FIND_TIME))
      .catch_([](kj::Exception&&) {})
      .then([providers = kj::mv(providers)]() mutable { return kj::mv(providers); });
  searches.push_back(Search{root.clone(), timer.now(), searching.fork()});
  return searches.back().end.addBranch();
}

kj::Promise<void> Bitswap::meetProviders(const Cid& root, Providers& providers) {
  auto found = co_await swarm.findProviders(root.getMultihash());
  kj::Vector<kj::Promise<void>> dials;
  for (auto& peer: found) {
    if (providers.ids.size() == MAX_PROVIDERS) break;
    if (peer == swarm.getPeerId()) continue;
    providers.ids.add(peer.clone());
    if (swarm.isConnected(peer)) continue;
    dials.add(swarm.connect(peer, nullptr, scope).catch_([](kj::Exception&&) {}));
  }
  co_await kj::joinPromises(dials.releaseAsArray());
}

void Bitswap::provide(const Cid& root) { swarm.provide(root.getMultihash()); }

kj::Own<void> Bitswap::askFirst(const Cid& root, const PeerId& peer) {
  auto place = firsts.insert(firsts.end(), First{root.clone(), peer.toText()});
  return kj::heap(kj::defer([this, place]() { firsts.erase(place); }));
}

// For the block itself, one after the other.
kj::Promise<void> Bitswap::askLikely(Want& want, const Cid& root) {
  kj::Vector<kj::String> names;
  for (auto& first: firsts) {
    if (first.root == root) names.add(kj::str(first.peer));
  }
  if (lastGood.size() > 0) names.add(kj::str(lastGood));
  for (auto& name: names) {
    auto id = KJ_ASSERT_NONNULL(PeerId::parseText(name));
    if (want.block != nullptr || want.hasAsked(name) || !swarm.isConnected(id)) continue;
    auto& peer = stateOf(id);
    if (peer.isUsable() && peer.timesLate == 0) co_await askForBlock(want, kj::mv(name));
  }
}

void Bitswap::askWhoHasIt(Want& want, kj::ArrayPtr<const PeerId> first) {
  auto most = want.asked.size() + MAX_ASKED;
  auto ask = [&](const PeerId& id) {
    auto name = id.toText();
    if (want.asked.size() >= most || want.hasAsked(name)) return;
    auto& peer = stateOf(id);
    if (!peer.isUsable() || peer.timesLate > 0) return;
    want.ask(name);
    send(peer, BitswapMessage::Want{want.cid.clone(), false, false, true});
  };
  for (auto& id: first) {
    if (swarm.isConnected(id)) ask(id);
  }
  for (auto& other: swarm.getPeers()) ask(other.id);
}

// Of `first`, and then of whoever is connected. Whether there may be more to ask.
kj::Promise<bool> Bitswap::askSome(Want& want, kj::ArrayPtr<const PeerId> first,
                                   kj::TimePoint end) {
  auto before = want.asked.size();
  askWhoHasIt(want, first);
  if (want.asked.size() == before) co_return false;  // nobody that was not asked already
  co_await hearWhoHasIt(want, end);
  co_return want.block == nullptr && timer.now() < end;
}

// And asks those that do for it, one after the other.
kj::Promise<void> Bitswap::hearWhoHasIt(Want& want, kj::TimePoint end) {
  auto begin = timer.now();
  while (want.block == nullptr && timer.now() < end) {
    if (!want.haves.empty()) {
      auto peer = kj::mv(want.haves.front());
      want.haves.pop_front();
      if (!want.hasAnswer(peer)) co_await askForBlock(want, kj::mv(peer));
    } else if (want.haveAllAnswered()) {
      co_return;
    } else if (timer.now() >= begin + ANSWER_TIME) {
      co_return giveUp(want, begin);
    } else {
      co_await want.onChange().exclusiveJoin(timer.atTime(begin + ANSWER_TIME));
    }
  }
}

// Those of whom nothing was heard: they count as having said no.
void Bitswap::giveUp(Want& want, kj::TimePoint begin) {
  for (auto& name: want.asked) {
    if (want.hasAnswer(name)) continue;
    KJ_IF_MAYBE(peer, findState(name)) peer->beLate(begin, timer.now());
    want.sayNot(name);
    ++want.silent;
  }
}

// Those who were late before, now that nobody else has it.
kj::Promise<void> Bitswap::askLate(Want& want, kj::TimePoint end) {
  kj::uint asked = 0;
  for (auto& other: swarm.getPeers()) {
    if (asked == MAX_AGAIN || timer.now() >= end || want.block != nullptr) co_return;
    auto name = other.id.toText();
    auto& peer = stateOf(other.id);
    if (peer.timesLate == 0 || !peer.isUsable() || want.saidNot(name)) continue;
    ++asked;
    co_await askForBlock(want, kj::mv(name));
  }
}

kj::Promise<void> Bitswap::askForBlock(Want& want, kj::String name) {
  auto parsed = PeerId::parseText(name);
  auto& peer = stateOf(KJ_ASSERT_NONNULL(parsed));
  ++peer.users;  // so that it stays
  KJ_DEFER({
    --peer.users;
    peer.passTurn();
    dropIfIdle(name);
  });
  want.ask(name);
  want.late.eraseMatch(name);
  auto timesLate = peer.timesLate;
  while (peer.inFlight.size() >= MAX_IN_FLIGHT) {
    co_await peer.onTurn().exclusiveJoin(want.onChange());
    if (want.isOver(peer.name)) co_return;
    if (peer.timesLate > timesLate || !peer.isUsable()) co_return want.beLate(peer.name);
  }
  co_await waitForBlock(want, peer);
}

kj::Promise<void> Bitswap::waitForBlock(Want& want, PeerState& peer) {
  auto begin = timer.now();
  Patience patience(begin, BLOCK_TIME, LEAST_RATE, MAX_BITSWAP_BYTES);
  peer.lastAsked = begin;
  peer.inFlight.add(&patience);
  send(peer, BitswapMessage::Want{want.cid.clone(), false, true, true});
  KJ_DEFER({
    for (auto& other: peer.inFlight) {
      if (other == &patience) other = peer.inFlight.back();
    }
    peer.inFlight.removeLast();
    if (!want.isOver(peer.name)) send(peer, BitswapMessage::Want{want.cid.clone(), true});
  });
  while (!want.isOver(peer.name)) {
    auto end = patience.getEnd();
    if (timer.now() >= end) {
      peer.beLate(begin, timer.now());
      want.beLate(peer.name);
      co_return;
    }
    co_await want.onChange().exclusiveJoin(timer.atTime(end));
  }
}

void Bitswap::taskFailed(kj::Exception&& exception) {
  logger.log(LogLevel::DEBUG, "a peer's bitswap ended",
             {{"cause", kj::str(exception.getDescription())}});
}

}  // namespace ww
