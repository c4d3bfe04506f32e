#pragma once
// Cap'n Proto's network of two parties over a byte channel: the same messages and framing as
// capnp::TwoPartyVatNetwork, without a promise and an allocation for each of its layers. Compiled
// into the node and into guests alike; either end works with a stock peer at the other.
//
// Bounded: a frame over FrameLimits rejects receiveIncomingMessage(), before its body is buffered;
// memory for a large message is taken as its bytes arrive. What a peer does not read is kept; one
// more message on top of NetworkLimits::unsentBytes ends the connection.
//
// Lives on one event loop. Owned by whoever owns the RpcSystem, and outlives it.

#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.h>
#include <ww/base/byte-channel.h>
#include <ww/link/frame-limits.h>
#include <ww/link/read-observer.h>

#include <list>

namespace ww {

struct NetworkLimits {
  FrameLimits frame;
  size_t unsentBytes = size_t(128) << 20;  // more than the largest message
};

class TwoPartyNetwork final: public capnp::TwoPartyVatNetworkBase,
                             private capnp::TwoPartyVatNetworkBase::Connection,
                             private ByteChannel::User {
 public:
  // `observer` outlives it.
  TwoPartyNetwork(kj::Own<ByteChannel> channel, capnp::rpc::twoparty::Side side,
                  NetworkLimits limits = {}, kj::Maybe<ReadObserver&> observer = nullptr);
  ~TwoPartyNetwork() noexcept(false);  // what is unsent goes out as far as there is room
  KJ_DISALLOW_COPY_AND_MOVE(TwoPartyNetwork);

  // Resolves when the RPC system has let go of the connection. Any number of callers.
  kj::Promise<void> onDisconnect() { return disposer.onLast(); }

  // Nothing more is received: whoever waits for a message is told so.
  void fail(kj::Exception&& exception);

  kj::Maybe<kj::Own<Connection>> connect(capnp::rpc::twoparty::VatId::Reader ref) override;
  kj::Promise<kj::Own<Connection>> accept() override;

 private:
  class Outgoing;
  class Incoming;
  class Receiver;
  using Message = kj::Own<capnp::IncomingRpcMessage>;

  // What was read and is not yet a message.
  class Inbox {
   public:
    explicit Inbox(FrameLimits limits): limits(limits) {}
    ~Inbox() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Inbox);

    // Where to read to; never empty.
    kj::ArrayPtr<kj::byte> space();
    void filled(size_t bytes);

    // The next whole message, if it is here. Throws for a frame over the limits.
    kj::Maybe<Message> next();

    ReadProgress getProgress() const { return {bytesRead, messagesRead, end - begin}; }

    // Gives its buffer back, if it is empty.
    void rest();

    // Throws if a part of one is here: at the end there must be none.
    void requireWhole() const;

   private:
    // Of the frame at the front. Where its header is not here in full: more than is here.
    uint64_t frameBytes() const;
    void resize(size_t bytes);  // at least to what is here

    const FrameLimits limits;
    kj::Array<capnp::word> words;
    size_t begin = 0, end = 0;  // bytes
    size_t filledMost = 0;      // of this buffer
    bool isBusy = false;        // the last one that it gave back was a small one's worth
    uint64_t bytesRead = 0, messagesRead = 0;
  };

  // Frames that are written and not yet sent.
  class Outbox {
   public:
    size_t size() const { return total; }
    void add(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments);
    kj::ArrayPtr<const kj::byte> unsent() const;  // the oldest; not to be called when empty
    void sent(size_t bytes);                      // at most what unsent() gave
    void clear();

   private:
    struct Chunk {
      Chunk() {}
      ~Chunk() noexcept(false);
      KJ_DISALLOW_COPY_AND_MOVE(Chunk);

      kj::Array<capnp::word> words;
      size_t begin = 0, end = 0;  // bytes
    };
    kj::byte* extend(size_t bytes);

    std::list<Chunk> chunks;  // nothing is copied to make room
    size_t total = 0;
  };

  class Disposer final: public kj::Disposer {
   public:
    kj::Promise<void> onLast();
    void addReference() { ++references; }

   private:
    void disposeImpl(void*) const override;

    mutable kj::uint references = 0;
    mutable bool isOver = false;
    mutable kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> fulfiller;
    kj::Maybe<kj::ForkedPromise<void>> over;  // once somebody waits
  };

  kj::Own<Connection> asConnection();
  void post(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments, size_t words);
  bool readMore(Receiver& waiting);  // false: the channel has no more now
  void stopSending(kj::Exception&& exception);

  // Of Connection.
  capnp::rpc::twoparty::VatId::Reader getPeerVatId() override;
  kj::Own<capnp::OutgoingRpcMessage> newOutgoingMessage(kj::uint firstSegmentWords) override;
  kj::Promise<kj::Maybe<Message>> receiveIncomingMessage() override;
  kj::Promise<void> shutdown() override;

  // Of ByteChannel::User.
  void onReadable() override;
  void onWritable() override;

  const NetworkLimits limits;
  kj::Maybe<ReadObserver&> observer;
  const capnp::rpc::twoparty::Side side;
  capnp::MallocMessageBuilder peerVatId;
  bool accepted = false;
  Inbox inbox;
  Outbox outbox;
  kj::Maybe<Receiver&> receiver;
  bool ended = false;                // the peer sends nothing any more
  bool unheard = false;              // it reads nothing any more, or not enough
  bool closing = false;              // shutdown() was called
  kj::Maybe<kj::Exception> failure;  // what receivers are told
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> drained;
  Disposer disposer;
  kj::Own<ByteChannel> channel;
};

}  // namespace ww
