#pragma once
// Blocks among peers: /ipfs/bitswap/1.2.0 over a Swarm, both ways.
//
// - Whoever is connected is given the blocks of images in the store, and no others, and is told
//   what is not there. Nothing is remembered of what peers want: they hear of what is there now.
// - The source asks those connected: who is known to have the image, and who gives blocks fastest,
//   first; then who has it. One peer is asked for a block itself, and another beside it where that
//   one is slow: whichever gives it first. Where some of them were asked and none has it, those are
//   dialled, and asked, that say in the DHT that they have the image: once an image, or once in
//   FIND_AGAIN. Then the others are asked, some at a time.
// - Who is fastest goes by what came of each in how long; who gave a block comes before who only
//   began to, and those of whom nothing is known yet are tried beside it where it is slow. Who
//   takes another's place at a block is twice as fast.
// - A peer is waited for as long as blocks come of it that it was asked for, and for few at once.
//   Bytes of a message count while it is not whole; then what it brought of these alone. Where
//   another source follows, a block is waited for up to NEXT_TIME, and peers come after that source
//   for REST_TIME.
//   One that was late is asked when nobody else has a block, until it gives one; and after it was
//   late more often than MAX_LATE no more.
// - What comes is checked here, where it is known who sent it: a peer that sends a block that is
//   not what it is asked for is named in the log, and asked no more while it stays connected.
//
// Bounds: messages (MAX_BITSWAP_BYTES while a block is wanted of a peer, and for LATE_TIME after;
// MAX_WANTS_BYTES else), what of one is looked at (MAX_BITSWAP_ENTRIES), streams that a peer may
// have open and for how long without a word where nothing is to be sent to it, what waits to be
// sent to it, how long it may take to read that, how many peers are served at once, and what each
// and all together may ask in a second: who asks more is read, and answered, later. Where more come
// than are served, who has been silent longest makes room, and before those whom it is this node
// that does not read; those who were asked for something and have not answered come in beside that
// number, and make room for nobody. A message that is none ends its stream. Lives on the event loop
// of its swarm.
//
// Tests: bitswap-test.c++, bitswap-hostile-test.c++, bitswap-slow-test.c++, bitswap-lines-test.c++,
// fuzz/bitswap.c++.

#include <deque>
#include <list>
#include <kj/function.h>
#include <kj/map.h>
#include <kj/timer.h>
#include <ww/image/bitswap-message.h>
#include <ww/image/patience.h>
#include <ww/net/swarm.h>
#include <ww/node/byte-allowance.h>
#include <ww/node/image-store.h>

namespace ww {

class Bitswap final: private kj::TaskSet::ErrorHandler {
 public:
  static constexpr kj::Duration BLOCK_TIME = 5 * kj::SECONDS;   // without a byte of a block
  static constexpr uint64_t LEAST_RATE = 16 << 10;              // bytes a second, after that
  static constexpr kj::Duration ALONE_TIME = 3 * kj::SECONDS;   // then others are asked beside it
  static constexpr uint64_t FAIR_RATE = 64 << 10;               // bytes a second, for longer: until
  static constexpr kj::Duration MOST_ALONE = 15 * kj::SECONDS;
  static constexpr uint64_t LEAF_BYTES = 1 << 20;               // of a file, as most blocks are
  static constexpr kj::Duration MOST_LEAF_TIME = LEAF_BYTES / LEAST_RATE * kj::SECONDS;
  static constexpr kj::Duration NEXT_TIME = 30 * kj::SECONDS;   // then other sources go before
  static constexpr kj::Duration REST_TIME = 10 * kj::MINUTES;   // for so long
  static constexpr kj::Duration ANSWER_TIME = 3 * kj::SECONDS;  // for all to say who has it
  static constexpr kj::Duration TRY_TIME = 5 * kj::MINUTES;     // then no other peer is tried
  static constexpr kj::Duration LATE_TIME = 1 * kj::MINUTES;    // for what is late to be read
  static constexpr kj::Duration SEND_TIME = 30 * kj::SECONDS;   // that a peer may read nothing
  static constexpr uint64_t LEAST_READ_RATE = 4 << 10;          // bytes a second, after that
  static constexpr kj::Duration IDLE_TIME = 10 * kj::SECONDS;   // then our stream is closed
  static constexpr kj::Duration SILENT_TIME = 30 * kj::SECONDS; // and then one of a peer's
  static constexpr size_t MAX_WANTS_BYTES = 128 << 10;
  static constexpr kj::uint MAX_STREAMS = 4;   // that one peer has open here
  static constexpr kj::uint MAX_SERVED = 64;   // peers at a time, but those that are awaited
  static constexpr size_t MAX_TOGETHER = 256 << 10;  // of blocks, in one message
  static constexpr size_t MAX_WAITING = 2048;  // answers and questions, to one peer
  static constexpr kj::uint MAX_ASKED = 32;    // peers at a time, of one block
  static constexpr kj::uint MAX_IN_FLIGHT = 3; // blocks, of one peer
  static constexpr kj::uint MAX_BESIDE = 2;    // peers, that are asked for one block itself
  static constexpr size_t MAX_OWED = 64;       // blocks that a peer may give late
  static constexpr kj::uint MAX_LATE = 3;      // times in a row
  static constexpr kj::uint MAX_PROVIDERS = 8; // that are dialled, for one image
  static constexpr kj::Duration FIND_TIME = 20 * kj::SECONDS;   // to find and to dial them
  static constexpr kj::Duration FIND_AGAIN = 1 * kj::MINUTES;

  // Of what peers ask: their messages' bytes and those of the blocks that they are given. Each
  // question counts for QUESTION_BYTES besides, and a stream that is opened for STREAM_BYTES.
  static constexpr uint64_t PEER_BYTES_PER_SECOND = 64 << 20;
  static constexpr uint64_t ALL_BYTES_PER_SECOND = 128 << 20;
  static constexpr uint64_t QUESTION_BYTES = 8 << 10, STREAM_BYTES = 64 << 10;

  // Serves at once: before the loop turns for the first time. All outlive it. Peers that come after
  // it has gone are hung up on.
  // `scope`: where providers that the DHT names may be.
  Bitswap(Swarm& swarm, ImageStore& store, kj::Timer& timer, Logger& logger, DialScope scope);
  ~Bitswap() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Bitswap);

  // Not to outlive it. `isOnly`: no other source follows that could be asked instead.
  kj::Own<BlockSource> makeSource(bool isOnly);

  // For the blocks of that image, while this is held. Not to outlive it.
  kj::Own<void> askFirst(const Cid& root, const PeerId& peer);

  // Called with each block that is sent, from now on, and the peer that it is sent to.
  using OnSent = kj::Function<void(const PeerId& to, const Cid&, size_t bytes)>;
  void onSent(OnSent callback) { sent = kj::mv(callback); }

  // Says in the DHT that this node has the image.
  void provide(const Cid& root);

 private:
  class Source;
  struct Want;
  struct Ask;
  struct PeerState;
  struct Link;
  struct Providers: public kj::Refcounted {
    kj::Vector<PeerId> ids;
    kj::Own<Providers> addRef() { return kj::addRef(*this); }
  };
  using Item = kj::OneOf<BitswapMessage::Want, BitswapMessage::Presence, Cid>;

  void welcome(PeerStream stream);
  bool isAwaited(kj::StringPtr peer) const;
  void makeRoom(size_t most);
  kj::Promise<void> listen(kj::String peer, kj::Own<kj::AsyncIoStream> stream);
  kj::Promise<void> takeAll(PeerState& peer, kj::AsyncIoStream& stream);
  kj::Promise<bool> takeNext(PeerState& peer, kj::AsyncIoStream& stream);
  kj::Promise<kj::Maybe<kj::Array<kj::byte>>> readNext(PeerState& peer, kj::AsyncIoStream& stream,
                                                       size_t& part);
  kj::Promise<kj::Maybe<kj::Array<kj::byte>>> untilSilent(PeerState& peer, Patience& patience,
                                                        const size_t& part);
  void hearPart(PeerState& peer, size_t& part, size_t bytes);
  void hearWhole(PeerState& peer, size_t part);
  void hearUseful(PeerState& peer, size_t bytes);
  kj::Promise<void> untilAllowed(PeerState& peer);
  void charge(PeerState& peer, uint64_t bytes);
  void take(PeerState& peer, BitswapMessage message);
  void answer(PeerState& peer, const BitswapMessage::Want& want);
  void takeBlock(PeerState& peer, BitswapMessage::Block block);
  void gave(PeerState& peer, kj::Duration took, uint64_t bytes);
  void distrust(PeerState& peer);
  void sayNot(kj::StringPtr peer);

  kj::Maybe<PeerState&> findState(kj::StringPtr peer);
  PeerState& stateOf(const PeerId& id);
  kj::Own<void> use(PeerState& peer);
  void dropIfIdle(kj::StringPtr peer);
  void dropStrangers();

  void send(PeerState& peer, Item item);
  struct Sending {
    kj::Array<kj::byte> message;  // that was not taken; empty: none
    kj::uint taken = 0;           // by the stream
    bool isOpen = false;          // the stream
  };
  kj::Promise<void> sendAll(kj::String peer);
  kj::Promise<void> openAndSend(kj::StringPtr peer, Sending& sending);
  kj::Promise<void> sendWhileAny(PeerState& peer, Sending& sending, kj::AsyncIoStream& stream);
  kj::Promise<kj::Own<kj::AsyncIoStream>> untilUnheard(PeerState& peer);
  kj::Promise<void> write(kj::AsyncIoStream& stream, kj::ArrayPtr<const kj::byte> message);
  BitswapMessage nextMessage(PeerState& peer);

  kj::Promise<kj::Array<const kj::byte>> fetch(Cid root, Cid cid);
  kj::Promise<void> find(Want& want);
  kj::Promise<void> askLikely(Want& want);
  kj::Promise<bool> askSome(Want& want, kj::ArrayPtr<const PeerId> first, kj::TimePoint end);
  void askWhoHasIt(Want& want, kj::ArrayPtr<const PeerId> first);
  kj::Promise<void> hearWhoHasIt(Want& want, kj::TimePoint end);
  kj::Maybe<kj::String> nextToAsk(Want& want);
  void giveUp(Want& want, kj::TimePoint begin);
  kj::Promise<void> untilGiven(Want& want, kj::TimePoint end);
  void hopeForLate(Want& want);
  kj::Promise<kj::Own<Providers>> meetProvidersOf(const Cid& root);
  kj::Promise<void> meetProviders(const Cid& root, Providers& providers);
  kj::Promise<void> askForAWhile(Want& want, kj::String peer);
  struct Rank;
  Rank rankOf(kj::StringPtr peer);
  kj::Duration leafTimeOf(const Ask& ask);
  kj::Duration leafTimeByNow(const Ask& ask);
  Ask& slowestOf(Want& want);
  bool isAnyFaster(const Want& want, const PeerState& than);
  void dropSlowest(Want& want);
  void beSlow(const Want& want, const Ask& ask);
  void forgetGood(kj::StringPtr peer);
  kj::Promise<void> askForBlock(Want& want, Ask& ask);
  kj::Promise<void> waitForBlock(Want& want, PeerState& peer);
  kj::TimePoint waitsUntil(const PeerState& peer) const;
  // For LEAF_BYTES, where so many came in `time`.
  static kj::Duration leafTimeAt(kj::Duration time, uint64_t bytes);
  void taskFailed(kj::Exception&& exception) override;

  Swarm& swarm;
  ImageStore& store;
  kj::Timer& timer;
  Logger& logger;
  const DialScope scope;
  uint64_t heard = 0;                                 // how often anything was, of anybody
  uint64_t useful = 0, partial = 0;                   // bytes of all peers, as PeerState's
  kj::Own<Link> link;                                 // by which the swarm's handler finds this
  kj::HashMap<kj::String, kj::Own<PeerState>> peers;  // by id: those of whom something is known
  ByteAllowance allowance;                            // of what all ask for
  kj::Vector<Want*> wants;
  std::deque<Cid> recent;                             // that were wanted: more of them may come
  kj::String lastGood;                                // the fastest, of late
  struct First {
    Cid root;
    kj::String peer;
  };
  std::list<First> firsts;
  struct Search {
    Cid root;
    kj::TimePoint begin;
    kj::ForkedPromise<kj::Own<Providers>> end;
  };
  std::deque<Search> searches;                        // the latest, in the DHT
  kj::Maybe<OnSent> sent;
  kj::TaskSet tasks;
};

}  // namespace ww
