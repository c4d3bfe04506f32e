#pragma once
// Blocks among peers: /ipfs/bitswap/1.2.0 over a Swarm, both ways.
//
// - Whoever is connected is given the blocks of images in the store, and no others, and is told
//   what is not there. Nothing is remembered of what peers want: they hear of what is there now.
// - The source asks those connected: who gave a block last first; then who has it. One peer at a
//   time is asked for a block itself, and given BLOCK_TIME for it. Where none of them has it, those
//   are dialled, and asked, that say so in the DHT.
// - What comes is checked here, where it is known who sent it: a peer that sends a block that is
//   not what it is asked for is named in the log, and asked no more while it stays connected.
//
// Bounds: messages (MAX_BITSWAP_BYTES while something is wanted of a peer, MAX_WANTS_BYTES else),
// streams that a peer may have open, what waits to be sent to it, how long it may take to read
// that, and how many peers are served at once. Lives on the event loop of its swarm.
//
// Tests: bitswap-test.c++.

#include <deque>
#include <kj/function.h>
#include <kj/map.h>
#include <kj/timer.h>
#include <ww/image/bitswap-message.h>
#include <ww/net/swarm.h>
#include <ww/node/image-store.h>

namespace ww {

class Bitswap final: private kj::TaskSet::ErrorHandler {
 public:
  static constexpr kj::Duration BLOCK_TIME = 5 * kj::SECONDS;   // for a peer to send a block
  static constexpr kj::Duration ANSWER_TIME = 3 * kj::SECONDS;  // for all to say who has it
  static constexpr kj::Duration SEND_TIME = 30 * kj::SECONDS;   // for a peer to read a message
  static constexpr kj::Duration IDLE_TIME = 10 * kj::SECONDS;   // after which a stream is closed
  static constexpr size_t MAX_WANTS_BYTES = 128 << 10;
  static constexpr kj::uint MAX_STREAMS = 4;   // that one peer has open here
  static constexpr kj::uint MAX_SERVED = 64;   // peers at a time
  static constexpr size_t MAX_WAITING = 2048;  // answers and questions, to one peer
  static constexpr kj::uint MAX_ASKED = 32;    // peers, of one block
  static constexpr kj::uint MAX_PROVIDERS = 8; // that are dialled, for one block
  static constexpr kj::Duration FIND_TIME = 20 * kj::SECONDS;  // to find and to dial them

  // Serves at once: before the loop turns for the first time. All outlive it. Peers that come after
  // it has gone are hung up on.
  // `scope`: where providers that the DHT names may be.
  Bitswap(Swarm& swarm, ImageStore& store, kj::Timer& timer, Logger& logger, DialScope scope);
  ~Bitswap() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Bitswap);

  // Not to outlive it.
  kj::Own<BlockSource> makeSource();

  // Until another gives a block.
  void askFirst(const PeerId& peer) { lastGood = peer.toText(); }

  // Called with each block that is sent to a peer, from now on.
  void onSent(kj::Function<void(const Cid&, size_t bytes)> callback) { sent = kj::mv(callback); }

  // Says in the DHT that this node has the image.
  void provide(const Cid& root);

 private:
  class Source;
  struct Want;
  struct PeerState;
  struct Link;
  using Item = kj::OneOf<BitswapMessage::Want, BitswapMessage::Presence, Cid>;

  void welcome(PeerStream stream);
  kj::Promise<void> listen(kj::String peer, kj::Own<kj::AsyncIoStream> stream);
  void take(PeerState& peer, BitswapMessage message);
  void answer(PeerState& peer, const BitswapMessage::Want& want);
  void takeBlock(PeerState& peer, BitswapMessage::Block block);
  void distrust(PeerState& peer);
  void sayNot(kj::StringPtr peer);

  kj::Maybe<PeerState&> findState(kj::StringPtr peer);
  PeerState& stateOf(const PeerId& id);
  void dropIfIdle(kj::StringPtr peer);
  void dropStrangers();

  void send(PeerState& peer, Item item);
  kj::Promise<void> sendAll(kj::String peer);
  kj::Promise<void> sendWhileAny(kj::String peer, kj::AsyncIoStream& stream);
  BitswapMessage nextMessage(PeerState& peer);

  kj::Promise<kj::Array<const kj::byte>> fetch(Cid cid);
  kj::Promise<void> askLastGood(Want& want);
  kj::Promise<void> askAll(Want& want);
  kj::Promise<void> meetProviders(const Cid& cid);
  kj::Promise<void> askForBlock(Want& want, kj::String peer);
  void taskFailed(kj::Exception&& exception) override;

  Swarm& swarm;
  ImageStore& store;
  kj::Timer& timer;
  Logger& logger;
  const DialScope scope;
  kj::Own<Link> link;                                 // by which the swarm's handler finds this
  kj::HashMap<kj::String, kj::Own<PeerState>> peers;  // by id: those of whom something is known
  kj::Vector<Want*> wants;
  std::deque<Cid> recent;                             // that were wanted: more of them may come
  kj::String lastGood;                                // the peer that gave a block last
  kj::Maybe<kj::Function<void(const Cid&, size_t)>> sent;
  kj::TaskSet tasks;
};

}  // namespace ww
