// Who is asked for a block, one after the other or beside each other, and for how long.
#include <algorithm>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/node/bitswap-peer.h>

namespace ww {
namespace {

constexpr size_t MAX_RECENT = 64;

}  // namespace

struct Bitswap::Rank {
  bool isProven;
  kj::Duration leafTime;

  bool operator<(const Rank& other) const {  // it comes first
    return isProven != other.isProven ? isProven : leafTime < other.leafTime;
  }
};

class Bitswap::Source final: public BlockSource {
 public:
  Source(Bitswap& bitswap, bool isOnly) : bitswap(bitswap), isOnly(isOnly) {}
  kj::StringPtr getName() const override { return "peers"; }
  bool isResting() override { return bitswap.timer.now() < restsUntil; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) override {
    return fetchOf(cid, cid);
  }
  kj::Promise<kj::Array<const kj::byte>> fetchOf(const Cid& root, const Cid& cid) override {
    auto fetched = bitswap.fetch(root.clone(), cid.clone());
    if (isOnly || isResting()) return fetched;
    return fetched.exclusiveJoin(bitswap.timer.afterDelay(NEXT_TIME)
        .then([this]() -> kj::Array<const kj::byte> {
      rest();
      kj::throwFatalException(late(kj::str("no peer gave it within ", NEXT_TIME)));
    }));
  }

 private:
  void rest() {
    if (isResting()) return;
    restsUntil = bitswap.timer.now() + REST_TIME;
    bitswap.logger.log(LogLevel::INFO, "peers are slow; other sources are asked before them");
  }

  Bitswap& bitswap;
  const bool isOnly;
  kj::TimePoint restsUntil = kj::origin<kj::TimePoint>();
};

kj::Own<BlockSource> Bitswap::makeSource(bool isOnly) { return kj::heap<Source>(*this, isOnly); }

kj::Promise<kj::Array<const kj::byte>> Bitswap::fetch(Cid root, Cid cid) {
  Want want(root, cid);
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
  co_await find(want).exclusiveJoin(want.untilHad());
  KJ_IF_MAYBE(block, want.block) co_return kj::mv(*block);
  if (want.asked.size() == 0) {
    kj::throwFatalException(badInput("no peer is connected that has any"));
  }
  auto none = kj::str("none of the ", want.asked.size(), " that were asked has it");
  auto slow = want.late.size() + want.silent + want.haves.size();
  if (slow == 0) kj::throwFatalException(badInput(none));
  kj::throwFatalException(late(kj::str(none, ": ", slow, " did not answer in time")));
}

kj::Promise<void> Bitswap::find(Want& want) {
  co_await askLikely(want);
  auto end = timer.now() + TRY_TIME;
  if (want.block == nullptr) co_await askSome(want, nullptr, end);
  if (want.block != nullptr) co_return;
  auto providers = co_await meetProvidersOf(want.root);
  while (co_await askSome(want, providers->ids, end)) {}
  co_await untilGiven(want, end);
  if (want.block != nullptr) co_return;
  hopeForLate(want);
  co_await hearWhoHasIt(want, end);
  co_await untilGiven(want, end);
}

// By one of those that are asked for it, by who has come meanwhile, or is the better one by now.
kj::Promise<void> Bitswap::untilGiven(Want& want, kj::TimePoint end) {
  while (want.block == nullptr && want.isGiven()) {
    co_await want.onChange().exclusiveJoin(timer.afterDelay(ALONE_TIME));
    bool isOver = want.block != nullptr || timer.now() >= end;
    if (!isOver) co_await askSome(want, nullptr, end);
  }
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

// For the block itself.
kj::Promise<void> Bitswap::askLikely(Want& want) {
  kj::Vector<kj::String> names;
  for (auto& first: firsts) {
    if (first.root == want.root) names.add(kj::str(first.peer));
  }
  if (lastGood.size() > 0) names.add(kj::str(lastGood));
  for (auto& name: names) {
    auto id = KJ_ASSERT_NONNULL(PeerId::parseText(name));
    if (want.block != nullptr || want.hasAsked(name) || !swarm.isConnected(id)) continue;
    auto& peer = stateOf(id);
    if (peer.isUsable() && peer.timesLate == 0) co_await askForAWhile(want, kj::mv(name));
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
  bool isAny = want.asked.size() > before;  // that was not asked already
  co_await hearWhoHasIt(want, end);
  co_return isAny && want.block == nullptr && timer.now() < end;
}

// And asks those that do for it.
kj::Promise<void> Bitswap::hearWhoHasIt(Want& want, kj::TimePoint end) {
  auto begin = timer.now();
  while (want.block == nullptr && timer.now() < end) {
    auto next = nextToAsk(want);
    KJ_IF_MAYBE(peer, next) {
      co_await askForAWhile(want, kj::mv(*peer));
    } else if (want.haveAllAnswered()) {
      co_return;
    } else if (timer.now() >= begin + ANSWER_TIME) {
      co_return giveUp(want, begin);
    } else {
      co_await want.onChange().exclusiveJoin(timer.atTime(begin + ANSWER_TIME));
    }
  }
}

// Of those that have it, who is fastest: beside another only where that takes longer, and in the
// place of one only where that takes twice as long, since what came of it is lost. One of them, or
// the first, is one that has given blocks, where there is any.
kj::Maybe<kj::String> Bitswap::nextToAsk(Want& want) {
  std::erase_if(want.haves, [&](kj::String& name) {
    return want.hasAnswer(name) || want.isAskedForIt(name);
  });
  bool isByProven = want.isGiven() && want.isAskedOfProven();
  auto best = std::min_element(want.haves.begin(), want.haves.end(), [&](auto& a, auto& b) {
    return isByProven ? rankOf(a).leafTime < rankOf(b).leafTime : rankOf(a) < rankOf(b);
  });
  if (best == want.haves.end()) return nullptr;
  auto rank = rankOf(*best);
  bool isFirst = !want.isGiven() || (rank.isProven && !isByProven);
  if (!isFirst) {
    auto time = leafTimeByNow(slowestOf(want));
    if (time <= rank.leafTime * (want.asks.size() == MAX_BESIDE ? 2 : 1)) return nullptr;
  }
  auto name = kj::mv(*best);
  want.haves.erase(best);
  return kj::mv(name);
}

// Those of whom nothing was heard: they count as having said no. Whose line was full of what it was
// asked for is not late, and may have it.
void Bitswap::giveUp(Want& want, kj::TimePoint begin) {
  for (auto& name: want.asked) {
    if (!want.isSilent(name)) continue;
    KJ_IF_MAYBE(peer, findState(name)) {
      bool gave = peer->lastUseful > begin || (peer->partial > 0 && peer->lastPart > begin);
      if (gave) {
        want.beLate(name);
        continue;
      }
      peer->beLate(begin, timer.now());
    }
    want.sayNot(name);
    ++want.silent;
  }
}

// That those have it who were late, now that nobody else has: of those as fast first who gave most.
void Bitswap::hopeForLate(Want& want) {
  struct Late {
    kj::String name;
    uint64_t gave;
  };
  kj::Vector<Late> all;
  for (auto& other: swarm.getPeers()) {
    auto name = other.id.toText();
    auto& peer = stateOf(other.id);
    bool wasLate = peer.timesLate > 0 || want.isLate(name);
    if (wasLate && peer.isUsable() && !want.saidNot(name)) all.add(Late{kj::mv(name), peer.useful});
  }
  std::sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.gave > b.gave; });
  for (auto& late: all) want.hope(late.name);
}

// Until it is had, or the peer is slow, or is known to be and another has come: then it goes on
// beside what comes after.
kj::Promise<void> Bitswap::askForAWhile(Want& want, kj::String peer) {
  if (want.isGiven() && want.asks.size() == MAX_BESIDE) dropSlowest(want);
  auto& state = stateOf(KJ_ASSERT_NONNULL(PeerId::parseText(peer)));
  auto& ask = want.asks.emplace_back(state, use(state), timer.now());
  ask.task = askForBlock(want, ask).catch_([](kj::Exception&&) {}).then([&want, &ask]() {
    ask.isOver = true;
    want.change();
  }).eagerlyEvaluate(nullptr);
  for (auto time = ALONE_TIME;; time += ALONE_TIME) {
    auto end = ask.begin + time;
    while (!ask.isOver && want.block == nullptr && timer.now() < end) {
      if (isAnyFaster(want, state)) co_return;
      co_await want.onChange().exclusiveJoin(timer.atTime(end));
    }
    if (ask.isOver || want.block != nullptr) co_return;
    bool isFair = state.getBytesSince(ask.before) >= FAIR_RATE * (time / kj::SECONDS);
    if (!isFair || time >= MOST_ALONE || (want.isGiven() && want.asks.size() > 1)) break;
  }
  beSlow(want, ask);
}

// Of those that have it and are not asked.
bool Bitswap::isAnyFaster(const Want& want, const PeerState& than) {
  return than.leafTime >= ALONE_TIME &&
         std::any_of(want.haves.begin(), want.haves.end(), [&](const kj::String& name) {
    return !want.hasAnswer(name) && !want.isAskedForIt(name) &&
           rankOf(name).leafTime * 2 < than.leafTime;
  });
}

// For another to be asked. It may be asked again.
void Bitswap::dropSlowest(Want& want) {
  auto& slowest = slowestOf(want);
  slowest.peer.leafTime = kj::min(leafTimeByNow(slowest), MOST_LEAF_TIME);
  want.hope(slowest.peer.name);
  want.asks.remove_if([&](Ask& ask) { return &ask == &slowest; });
}

Bitswap::Ask& Bitswap::slowestOf(Want& want) {
  return *std::max_element(want.asks.begin(), want.asks.end(), [&](Ask& a, Ask& b) {
    return Rank{a.peer.isProven(), leafTimeOf(a)} < Rank{b.peer.isProven(), leafTimeOf(b)};
  });
}

Bitswap::Rank Bitswap::rankOf(kj::StringPtr peer) {
  return findState(peer).map([](PeerState& state) {
    return Rank{state.isProven(), state.leafTime};
  }).orDefault(Rank{false, 0 * kj::SECONDS});
}

// By what is known, and what came since, for this block or others.
kj::Duration Bitswap::leafTimeOf(const Ask& ask) {
  return kj::max(ask.peer.leafTime,
                 leafTimeAt(timer.now() - ask.begin, ask.peer.getBytesSince(ask.before)));
}

// Which is no less than the time that the block has taken by now says, as large as it may be.
kj::Duration Bitswap::leafTimeByNow(const Ask& ask) {
  constexpr int LEAVES = MAX_BLOCK_BYTES / LEAF_BYTES;
  auto waited = ask.turn.map([&](kj::TimePoint turn) {
    return (timer.now() - turn) / LEAVES;
  });
  return kj::max(leafTimeOf(ask), waited.orDefault(0 * kj::SECONDS));
}

void Bitswap::beSlow(const Want& want, const Ask& ask) {
  ask.peer.leafTime = leafTimeOf(ask);
  forgetGood(ask.peer.name);
  auto isOf = ask.peer.slowOf.map([&](Cid& root) { return root == want.root; });
  if (isOf.orDefault(false)) return;
  ask.peer.slowOf = want.root.clone();
  logger.log(LogLevel::INFO, "a peer is slow to give a block of an image; others are asked too",
             {{"peer", kj::str(ask.peer.name)}, {"image", want.root.toText()},
              {"block", want.cid.toText()}});
}

void Bitswap::forgetGood(kj::StringPtr peer) {
  if (lastGood == peer) lastGood = kj::String();
}

kj::Promise<void> Bitswap::askForBlock(Want& want, Ask& ask) {
  auto& peer = ask.peer;
  KJ_DEFER(peer.passTurn());
  want.ask(peer.name);
  want.late.eraseMatch(peer.name);
  auto timesLate = peer.timesLate;
  while (peer.inFlight >= MAX_IN_FLIGHT) {
    co_await peer.onTurn().exclusiveJoin(want.onChange());
    if (want.isOver(peer.name)) co_return;
    if (peer.timesLate > timesLate || !peer.isUsable()) co_return want.beLate(peer.name);
  }
  ask.turn = timer.now();
  co_await waitForBlock(want, peer);
}

kj::Promise<void> Bitswap::waitForBlock(Want& want, PeerState& peer) {
  auto begin = timer.now();
  if (peer.inFlight++ == 0) peer.restart(begin, useful);
  peer.owe(want.cid, begin);
  send(peer, BitswapMessage::Want{want.cid.clone(), false, true, true});
  KJ_DEFER({
    --peer.inFlight;
    peer.lastWanted = timer.now();
    bool isOthers = std::any_of(wants.begin(), wants.end(), [&](Want* other) {
      return other != &want && other->cid == want.cid && other->isAskedForIt(peer.name);
    });
    if (peer.owes(want.cid) && !want.saidNot(peer.name) && !isOthers) {
      send(peer, BitswapMessage::Want{want.cid.clone(), true});
    }
  });
  while (!want.isOver(peer.name)) {
    auto end = waitsUntil(peer);
    if (timer.now() >= end) {
      peer.beLate(begin, timer.now());
      forgetGood(peer.name);
      want.beLate(peer.name);
      co_return;
    }
    co_await want.onChange().exclusiveJoin(timer.atTime(end));
  }
}

// Silence is its own. How much has to come is of all together: they may share one slow link.
kj::TimePoint Bitswap::waitsUntil(const PeerState& peer) const {
  auto last = peer.partial > 0 ? kj::max(peer.lastUseful, peer.lastPart) : peer.lastUseful;
  auto came = kj::min(useful - peer.usefulBefore + partial, uint64_t(MAX_BITSWAP_BYTES));
  auto enough = peer.begin + int64_t(came) * kj::SECONDS / LEAST_RATE;
  return BLOCK_TIME + kj::min(last, enough);
}

}  // namespace ww
