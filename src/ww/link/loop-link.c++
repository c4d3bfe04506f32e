#include <ww/link/loop-link.h>

#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.h>
#include <kj/debug.h>
#include <deque>
#include <ww/base/inbox.h>

namespace ww {

using capnp::rpc::twoparty::Side;
using capnp::rpc::twoparty::VatId;

namespace {

// Written on one thread, and once it is sent only read, on either.
class Message final: public kj::AtomicRefcounted {
 public:
  explicit Message(kj::uint firstSegmentWords)
      : builder(firstSegmentWords == 0 ? kj::uint(capnp::SUGGESTED_FIRST_SEGMENT_WORDS)
                                       : firstSegmentWords) {}

  // Before it is sent.
  void seal() { segments = builder.getSegmentsForOutput(); }
  kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> getSegments() const { return segments; }

  capnp::MallocMessageBuilder builder;

 private:
  kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments;
};

// Without a message it is the end.
struct Frame {
  kj::Own<const Message> message;
};
using Frames = Inbox<Frame>;

class Incoming final: public capnp::IncomingRpcMessage {
 public:
  explicit Incoming(kj::Own<const Message> sent)
      : message(kj::mv(sent)), reader(message->getSegments(), options()) {}

  capnp::AnyPointer::Reader getBody() override { return reader.getRoot<capnp::AnyPointer>(); }
  size_t sizeInWords() override { return reader.sizeInWords(); }

 private:
  static capnp::ReaderOptions options() {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = kj::maxValue;
    return options;
  }
  kj::Own<const Message> message;
  capnp::SegmentArrayMessageReader reader;
};

class Outgoing final: public capnp::OutgoingRpcMessage {
 public:
  Outgoing(const Frames& to, kj::uint firstSegmentWords)
      : to(kj::atomicAddRef(to)), message(kj::atomicRefcounted<Message>(firstSegmentWords)) {}

  capnp::AnyPointer::Builder getBody() override {
    return message->builder.getRoot<capnp::AnyPointer>();
  }
  size_t sizeInWords() override { return message->builder.sizeInWords(); }
  void send() override {
    message->seal();
    to->put({kj::atomicAddRef(*message)});
  }

 private:
  kj::Own<const Frames> to;
  kj::Own<Message> message;
};

}  // namespace

struct LoopLink::Seat::Ends {
  Side side;
  kj::Own<const Frames> in, out;
};

LoopLink::Seat::Seat(kj::Own<Ends> ends): ends(kj::mv(ends)) {}
LoopLink::Seat::~Seat() noexcept(false) {}

LoopLink::Pair LoopLink::makePair() {
  kj::Own<const Frames> forth = kj::atomicRefcounted<Frames>();
  kj::Own<const Frames> back = kj::atomicRefcounted<Frames>();
  auto seat = [](Side side, const Frames& in, const Frames& out) {
    return kj::heap<Seat>(kj::heap<Seat::Ends>(
        Seat::Ends{side, kj::atomicAddRef(in), kj::atomicAddRef(out)}));
  };
  return {seat(Side::CLIENT, *back, *forth), seat(Side::SERVER, *forth, *back)};
}

class LoopLink::Network final: public capnp::TwoPartyVatNetworkBase,
                               private capnp::TwoPartyVatNetworkBase::Connection {
 public:
  explicit Network(kj::Own<Seat::Ends> ends): ends(kj::mv(ends)) {
    peerVatId.initRoot<VatId>().setSide(peerSide());
  }
  ~Network() noexcept(false) {
    ends->out->put({});
    ends->in->close();
  }

  Side peerSide() const { return ends->side == Side::CLIENT ? Side::SERVER : Side::CLIENT; }

  kj::Maybe<kj::Own<Connection>> connect(VatId::Reader ref) override {
    if (ref.getSide() == ends->side) return nullptr;
    return asConnection();
  }

  kj::Promise<kj::Own<Connection>> accept() override {
    if (ends->side == Side::CLIENT || accepted) return kj::NEVER_DONE;
    accepted = true;
    return asConnection();
  }

 private:
  kj::Own<Seat::Ends> ends;
  capnp::MallocMessageBuilder peerVatId{8};
  bool accepted = false;
  std::deque<Frame> arrived;

  kj::Own<Connection> asConnection() {
    return kj::Own<Connection>(this, kj::NullDisposer::instance);
  }

  VatId::Reader getPeerVatId() override { return peerVatId.getRoot<VatId>(); }

  kj::Own<capnp::OutgoingRpcMessage> newOutgoingMessage(kj::uint firstSegmentWords) override {
    return kj::heap<Outgoing>(*ends->out, firstSegmentWords);
  }

  kj::Promise<kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>> receiveIncomingMessage() override {
    if (arrived.empty()) {
      for (auto& frame: ends->in->take()) arrived.push_back(kj::mv(frame));
    }
    if (arrived.empty()) {
      return ends->in->onThings().then([this]() { return receiveIncomingMessage(); });
    }
    auto& first = arrived.front();
    kj::Maybe<kj::Own<capnp::IncomingRpcMessage>> received;
    if (first.message.get() != nullptr) {
      received = kj::Own<capnp::IncomingRpcMessage>(kj::heap<Incoming>(kj::mv(first.message)));
      arrived.pop_front();
    }
    return kj::mv(received);
  }

  kj::Promise<void> shutdown() override {
    ends->out->put({});
    return kj::READY_NOW;
  }
};

struct LoopLink::Impl {
  Network network;
  capnp::RpcSystem<VatId> system;

  Impl(kj::Own<Seat::Ends> ends, capnp::Capability::Client offered)
      : network(kj::mv(ends)), system(capnp::makeRpcServer(network, kj::mv(offered))) {}
};

LoopLink::LoopLink(kj::Own<Seat> seat, capnp::Capability::Client offered)
    : impl(kj::heap<Impl>(kj::mv(seat->ends), kj::mv(offered))) {
  // At once: a client that asks for nothing would not listen.
  capnp::MallocMessageBuilder message(4);
  auto peer = message.initRoot<VatId>();
  peer.setSide(impl->network.peerSide());
  theirs = impl->system.bootstrap(peer);
}

LoopLink::~LoopLink() noexcept(false) {
  theirs = nullptr;
}

}  // namespace ww
