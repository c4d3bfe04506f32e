// Of which peers something is known, and which are served.
#include <ww/node/bitswap-peer.h>

namespace ww {

kj::Maybe<Bitswap::PeerState&> Bitswap::findState(kj::StringPtr peer) {
  return peers.find(peer).map([](kj::Own<PeerState>& state) -> PeerState& { return *state; });
}

Bitswap::PeerState& Bitswap::stateOf(const PeerId& id) {
  auto& state = peers.findOrCreate(id.toText(), [&]() {
    return decltype(peers)::Entry{id.toText(), kj::heap<PeerState>(id, timer.now())};
  });
  return *state;
}

// So that it stays.
kj::Own<void> Bitswap::use(PeerState& peer) {
  ++peer.users;
  return kj::heap(kj::defer([this, &peer]() {
    --peer.users;
    dropIfIdle(peer.name);
  }));
}

void Bitswap::dropIfIdle(kj::StringPtr peer) {
  KJ_IF_MAYBE(state, findState(peer)) {
    if (!state->isIdle()) return;
    if (state->isPlain(timer.now()) || !swarm.isConnected(state->id)) peers.erase(state->name);
  }
}

// What is known of a peer holds while it is connected.
void Bitswap::dropStrangers() {
  auto names = KJ_MAP(entry, peers) { return kj::str(entry.key); };
  for (auto& name: names) dropIfIdle(name);
}

// Whether it was asked for something and has not answered: as many as are asked at a time.
bool Bitswap::isAwaited(kj::StringPtr peer) const {
  for (auto want: wants) {
    if (want->hasAsked(peer) && !want->hasAnswer(peer)) return true;
  }
  return false;
}

// So that so many are served at most, but those that are awaited. Who waits for its turn is silent
// since it is not read.
void Bitswap::makeRoom(size_t most) {
  for (;;) {
    auto rank = [](PeerState& peer) { return std::pair(peer.held > 0, peer.lastHeard); };
    kj::Maybe<PeerState&> silent;
    size_t served = 0;
    for (auto& entry: peers) {
      auto& peer = *entry.value;
      if (!peer.isServed() || isAwaited(peer.name)) continue;
      ++served;
      auto isNext = silent.map([&](PeerState& other) { return rank(peer) < rank(other); });
      if (isNext.orDefault(true)) silent = peer;
    }
    if (served <= most) return;
    KJ_ASSERT_NONNULL(silent).endStreams();
  }
}

}  // namespace ww
