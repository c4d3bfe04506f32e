#include <ww/link/two-party-network.h>

#include <capnp/serialize.h>
#include <kj/debug.h>
#include <stdlib.h>
#include <string.h>
#include <ww/base/recycled.h>
#include <ww/link/spare-blocks.h>

namespace ww {
namespace {

using capnp::word;

// A call or an answer of the usual size fits; a message may say that it needs more.
constexpr size_t SCRATCH_WORDS = SpareBlocks::ZEROED_WORDS;

// Messages up to here lie in the object itself.
constexpr size_t INLINE_WORDS = 64;

// A link that fills the first gets the second.
constexpr size_t INBOX_WORDS = SpareBlocks::SMALL_WORDS;
constexpr size_t BUSY_INBOX_WORDS = SpareBlocks::LARGE_WORDS;
constexpr size_t OUTBOX_WORDS = SpareBlocks::SMALL_WORDS;

kj::Exception overLimit(kj::StringPtr name, uint64_t value, uint64_t limit) {
  return kj::Exception(kj::Exception::Type::OVERLOADED, __FILE__, __LINE__,
      kj::str("overloaded: ", name, ": ", value, "; the link's limit is ", limit));
}

size_t headerWords(size_t segments) { return segments / 2 + 1; }

}  // namespace

// ------------------------------------------------------------------------------------ messages

class TwoPartyNetwork::Outgoing final: public capnp::OutgoingRpcMessage, public Recycled<Outgoing> {
 public:
  Outgoing(TwoPartyNetwork& network, kj::uint firstSegmentWords)
      : network(network) {
    if (firstSegmentWords > SCRATCH_WORDS) {
      message.emplace(firstSegmentWords);
    } else {
      block = SpareBlocks::takeZeroed();
      message.emplace(block.asPtr());
    }
  }
  ~Outgoing() noexcept(false) {
    message = nullptr;  // zeroes the block
    SpareBlocks::giveZeroed(kj::mv(block));
  }
  KJ_DISALLOW_COPY_AND_MOVE(Outgoing);

  capnp::AnyPointer::Builder getBody() override { return get().getRoot<capnp::AnyPointer>(); }
  size_t sizeInWords() override { return get().sizeInWords(); }
  void send() override { network.post(get().getSegmentsForOutput(), get().sizeInWords()); }

 private:
  capnp::MallocMessageBuilder& get() { return KJ_ASSERT_NONNULL(message); }

  TwoPartyNetwork& network;
  kj::Array<word> block;
  kj::Maybe<capnp::MallocMessageBuilder> message;
};

class TwoPartyNetwork::Incoming final: public capnp::IncomingRpcMessage, public Recycled<Incoming> {
 public:
  // Copies.
  Incoming(kj::ArrayPtr<const word> frame, capnp::ReaderOptions options)
      : large(frame.size() > INLINE_WORDS ? kj::heapArray<word>(frame.size()) : nullptr),
        reader(copy(frame), options) {}

  // Takes over.
  Incoming(kj::Array<word> frame, capnp::ReaderOptions options)
      : large(kj::mv(frame)), reader(large, options) {}

  capnp::AnyPointer::Reader getBody() override { return reader.getRoot<capnp::AnyPointer>(); }
  size_t sizeInWords() override { return reader.sizeInWords(); }

 private:
  kj::ArrayPtr<const word> copy(kj::ArrayPtr<const word> frame) {
    word* to = large.size() > 0 ? large.begin() : small;
    memcpy(to, frame.begin(), frame.size() * sizeof(word));
    return kj::arrayPtr(to, frame.size());
  }

  kj::Array<word> large;
  word small[INLINE_WORDS];
  capnp::FlatArrayMessageReader reader;
};

// --------------------------------------------------------------------------------------- inbox

TwoPartyNetwork::Inbox::~Inbox() noexcept(false) { SpareBlocks::give(kj::mv(words)); }

kj::ArrayPtr<kj::byte> TwoPartyNetwork::Inbox::space() {
  if (words.size() == 0) words = SpareBlocks::take(isBusy ? BUSY_INBOX_WORDS : INBOX_WORDS);
  bool wasFull = end == words.size() * sizeof(word);
  if (begin == end) {
    begin = end = 0;
    if (words.size() > BUSY_INBOX_WORDS) words = SpareBlocks::take(BUSY_INBOX_WORDS);
  }
  auto capacity = words.size() * sizeof(word);
  auto have = end - begin;
  auto wanted = frameBytes();
  if (wanted > capacity && have * 2 > capacity) {
    // Room grows with what has come, not with what was announced, and not beyond the frame: then
    // the message can take the whole buffer over.
    resize(kj::min(wanted, capacity * 2));
  } else if (wasFull && words.size() < BUSY_INBOX_WORDS) {
    resize(BUSY_INBOX_WORDS * sizeof(word));
  } else if (begin > 0 && (begin + wanted > capacity || wasFull)) {
    auto base = reinterpret_cast<kj::byte*>(words.begin());
    memmove(base, base + begin, have);
    begin = 0;
    end = have;
  }
  auto bytes =
      kj::arrayPtr(reinterpret_cast<kj::byte*>(words.begin()), words.size() * sizeof(word));
  return bytes.slice(end, bytes.size());
}

void TwoPartyNetwork::Inbox::filled(size_t bytes) {
  end += bytes;
  bytesRead += bytes;
  filledMost = kj::max(filledMost, end);
}

void TwoPartyNetwork::Inbox::rest() {
  if (begin < end) return;
  isBusy = filledMost >= INBOX_WORDS * sizeof(word);
  begin = end = filledMost = 0;
  SpareBlocks::give(kj::mv(words));
}

void TwoPartyNetwork::Inbox::resize(size_t bytes) {
  auto size = (bytes + sizeof(word) - 1) / sizeof(word);
  auto larger = SpareBlocks::take(kj::max(size, BUSY_INBOX_WORDS));
  auto have = end - begin;
  memcpy(larger.begin(), reinterpret_cast<kj::byte*>(words.begin()) + begin, have);
  SpareBlocks::give(kj::mv(words));
  words = kj::mv(larger);
  begin = 0;
  end = have;
}

uint64_t TwoPartyNetwork::Inbox::frameBytes() const {
  auto have = end - begin;
  if (have < sizeof(word)) return sizeof(word);
  // Frames are whole words, so this is aligned; the wire is little endian, as this machine is.
  auto table = reinterpret_cast<const uint32_t*>(
      reinterpret_cast<const kj::byte*>(words.begin()) + begin);
  auto segments = uint64_t(table[0]) + 1;
  if (segments > limits.segments) {
    kj::throwFatalException(overLimit("segments", segments, limits.segments));
  }
  auto total = uint64_t(headerWords(segments));
  if (have < total * sizeof(word)) return total * sizeof(word);
  for (uint64_t i = 0; i < segments; i++) {
    total += table[1 + i];
    if (i > 0 && table[i] == 0 && table[1 + i] > 0) {
      kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, kj::str("overloaded: ", EMPTY_SEGMENT)));
    }
  }
  if (total > limits.words) {
    kj::throwFatalException(overLimit("message", total * sizeof(word),
                                      limits.words * sizeof(word)));
  }
  return total * sizeof(word);
}

void TwoPartyNetwork::Inbox::requireWhole() const {
  if (begin == end) return;
  kj::throwFatalException(
      KJ_EXCEPTION(DISCONNECTED, "the peer hung up in the middle of a message"));
}

kj::Maybe<TwoPartyNetwork::Message> TwoPartyNetwork::Inbox::next() {
  auto size = frameBytes();
  auto have = end - begin;
  if (have < size) return nullptr;
  auto at = words.begin() + begin / sizeof(word);

  capnp::ReaderOptions options;
  options.traversalLimitInWords = limits.readable(size / sizeof(word));
  ++messagesRead;
  auto frame = kj::arrayPtr(at, size / sizeof(word));
  bool isLarge = words.size() > BUSY_INBOX_WORDS;
  if (isLarge && begin == 0 && have == size && frame.size() == words.size()) {
    begin = end = 0;
    Message message = kj::heap<Incoming>(kj::mv(words), options);
    return kj::mv(message);
  }
  begin += size;
  return Message(kj::heap<Incoming>(frame, options));
}

// -------------------------------------------------------------------------------------- outbox

TwoPartyNetwork::Outbox::Chunk::~Chunk() noexcept(false) { SpareBlocks::give(kj::mv(words)); }

kj::byte* TwoPartyNetwork::Outbox::extend(size_t bytes) {
  if (chunks.empty() || chunks.back().words.size() * sizeof(word) - chunks.back().end < bytes) {
    if (total > 0 || chunks.empty()) chunks.emplace_back();
    chunks.back().words = SpareBlocks::take(kj::max(bytes / sizeof(word), OUTBOX_WORDS));
  }
  auto& chunk = chunks.back();
  auto to = reinterpret_cast<kj::byte*>(chunk.words.begin()) + chunk.end;
  chunk.end += bytes;
  total += bytes;
  return to;
}

void TwoPartyNetwork::Outbox::add(kj::ArrayPtr<const kj::ArrayPtr<const word>> segments) {
  auto words = headerWords(segments.size());
  for (auto& segment: segments) words += segment.size();
  auto to = extend(words * sizeof(word));
  auto put = [&](uint32_t value) {
    memcpy(to, &value, sizeof(value));
    to += sizeof(value);
  };
  put(segments.size() - 1);
  for (auto& segment: segments) put(segment.size());
  if (segments.size() % 2 == 0) put(0);
  for (auto& segment: segments) {
    memcpy(to, segment.begin(), segment.size() * sizeof(word));
    to += segment.size() * sizeof(word);
  }
}

kj::ArrayPtr<const kj::byte> TwoPartyNetwork::Outbox::unsent() const {
  auto& chunk = chunks.front();
  auto bytes = reinterpret_cast<const kj::byte*>(chunk.words.begin());
  return kj::arrayPtr(bytes + chunk.begin, chunk.end - chunk.begin);
}

void TwoPartyNetwork::Outbox::sent(size_t bytes) {
  auto& chunk = chunks.front();
  chunk.begin += bytes;
  total -= bytes;
  if (chunk.begin < chunk.end) return;
  SpareBlocks::give(kj::mv(chunk.words));
  chunk.begin = chunk.end = 0;
  if (chunks.size() > 1) chunks.pop_front();  // the last one is used again
}

void TwoPartyNetwork::Outbox::clear() {
  chunks.clear();
  total = 0;
}

// ------------------------------------------------------------------------------------- network

class TwoPartyNetwork::Receiver {
 public:
  Receiver(kj::PromiseFulfiller<kj::Maybe<Message>>& fulfiller, TwoPartyNetwork& network)
      : fulfiller(fulfiller), network(network) {
    network.receiver = *this;
  }
  ~Receiver() noexcept(false) { network.receiver = nullptr; }
  KJ_DISALLOW_COPY_AND_MOVE(Receiver);

  void give(kj::Maybe<Message> message) {
    network.receiver = nullptr;
    fulfiller.fulfill(kj::mv(message));
  }
  void fail(kj::Exception&& exception) {
    network.receiver = nullptr;
    fulfiller.reject(kj::mv(exception));
  }

 private:
  kj::PromiseFulfiller<kj::Maybe<Message>>& fulfiller;
  TwoPartyNetwork& network;
};

TwoPartyNetwork::TwoPartyNetwork(kj::Own<ByteChannel> bytes, capnp::rpc::twoparty::Side side,
                                 NetworkLimits limits, kj::Maybe<ReadObserver&> observer)
    : limits(limits), observer(observer), side(side), peerVatId(8), inbox(limits.frame),
      channel(kj::mv(bytes)) {
  using capnp::rpc::twoparty::Side;
  peerVatId.initRoot<capnp::rpc::twoparty::VatId>()
      .setSide(side == Side::CLIENT ? Side::SERVER : Side::CLIENT);
  channel->attach(*this);
}

TwoPartyNetwork::~TwoPartyNetwork() noexcept(false) {
  onWritable();  // what was posted in this turn
}

void TwoPartyNetwork::Disposer::disposeImpl(void*) const {
  if (--references > 0) return;
  isOver = true;
  KJ_IF_MAYBE(f, fulfiller) (*f)->fulfill();
}

kj::Promise<void> TwoPartyNetwork::Disposer::onLast() {
  if (isOver) return kj::READY_NOW;
  KJ_IF_MAYBE(promise, over) return promise->addBranch();
  auto paf = kj::newPromiseAndFulfiller<void>();
  fulfiller = kj::mv(paf.fulfiller);
  return over.emplace(paf.promise.fork()).addBranch();
}

kj::Own<TwoPartyNetwork::Connection> TwoPartyNetwork::asConnection() {
  disposer.addReference();
  return kj::Own<Connection>(this, disposer);
}

kj::Maybe<kj::Own<TwoPartyNetwork::Connection>> TwoPartyNetwork::connect(
    capnp::rpc::twoparty::VatId::Reader ref) {
  if (ref.getSide() == side) return nullptr;
  return asConnection();
}

kj::Promise<kj::Own<TwoPartyNetwork::Connection>> TwoPartyNetwork::accept() {
  if (side == capnp::rpc::twoparty::Side::SERVER && !accepted) {
    accepted = true;
    return asConnection();
  }
  return kj::NEVER_DONE;
}

capnp::rpc::twoparty::VatId::Reader TwoPartyNetwork::getPeerVatId() {
  return peerVatId.getRoot<capnp::rpc::twoparty::VatId>();
}

kj::Own<capnp::OutgoingRpcMessage> TwoPartyNetwork::newOutgoingMessage(kj::uint firstSegmentWords) {
  return kj::heap<Outgoing>(*this, firstSegmentWords);
}

void TwoPartyNetwork::post(kj::ArrayPtr<const kj::ArrayPtr<const word>> segments, size_t words) {
  if (closing || unheard) return;
  // The peer would end the link over it.
  auto total = words + headerWords(segments.size());
  if (total > limits.frame.words) {
    kj::throwFatalException(overLimit("message", total * sizeof(word),
                                      limits.frame.words * sizeof(word)));
  }
  if (outbox.size() > limits.unsentBytes) {
    stopSending(overLimit("unsentBytes", outbox.size(), limits.unsentBytes));
    return;
  }
  if (outbox.size() == 0) channel->wakeWriter();
  outbox.add(segments);
}

void TwoPartyNetwork::onWritable() {
  while (outbox.size() > 0) {
    auto unsent = outbox.unsent();
    KJ_IF_MAYBE(n, channel->write(unsent)) {
      outbox.sent(*n);
      if (*n < unsent.size()) return;
    } else {
      stopSending(KJ_EXCEPTION(DISCONNECTED, "the peer no longer reads"));
    }
  }
  KJ_IF_MAYBE(fulfiller, drained) {
    channel->closeWrite();
    (*fulfiller)->fulfill();
    drained = nullptr;
  }
}

bool TwoPartyNetwork::readMore(Receiver& waiting) {
  KJ_IF_MAYBE(n, channel->read(inbox.space())) {
    if (*n == 0) return false;
    inbox.filled(*n);
  } else {
    ended = true;
    inbox.requireWhole();
  }
  auto message = inbox.next();
  if (message != nullptr || ended) waiting.give(kj::mv(message));
  return true;
}

void TwoPartyNetwork::onReadable() {
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    for (;;) {
      KJ_IF_MAYBE(waiting, receiver) {
        if (readMore(*waiting)) continue;
        KJ_IF_MAYBE(o, observer) o->onRead(inbox.getProgress());
        inbox.rest();
        return;
      } else {
        return;
      }
    }
  })) {
    fail(kj::mv(*exception));
  }
}

kj::Promise<kj::Maybe<TwoPartyNetwork::Message>> TwoPartyNetwork::receiveIncomingMessage() {
  KJ_IF_MAYBE(exception, failure) return kj::cp(*exception);
  kj::Maybe<Message> message;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() { message = inbox.next(); })) {
    fail(kj::cp(*exception));
    return kj::mv(*exception);
  }
  if (message != nullptr || ended) return kj::mv(message);
  channel->wakeReader();
  return kj::newAdaptedPromise<kj::Maybe<Message>, Receiver>(*this);
}

void TwoPartyNetwork::stopSending(kj::Exception&& exception) {
  unheard = true;
  outbox.clear();
  fail(kj::mv(exception));
}

void TwoPartyNetwork::fail(kj::Exception&& exception) {
  if (failure != nullptr) return;
  failure = kj::cp(exception);
  KJ_IF_MAYBE(waiting, receiver) waiting->fail(kj::mv(exception));
}

kj::Promise<void> TwoPartyNetwork::shutdown() {
  closing = true;
  if (outbox.size() == 0) {
    channel->closeWrite();
    return kj::READY_NOW;
  }
  auto paf = kj::newPromiseAndFulfiller<void>();
  drained = kj::mv(paf.fulfiller);
  return kj::mv(paf.promise);
}

}  // namespace ww
