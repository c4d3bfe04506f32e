#include <ww/stem/guarded-network.h>

#include <kj/refcount.h>
#include <kj/vector.h>
#include <ww/base/error.h>
#include <ww/base/text.h>

namespace ww {
namespace {

constexpr kj::Duration PERIOD = 100 * kj::MILLISECONDS;
constexpr uint64_t PERIOD_BYTES = PROVIDER_BYTES_PER_SECOND / 10;

// Another stream, but for what comes from it.
class ReadGuard: public kj::AsyncIoStream {
 public:
  explicit ReadGuard(kj::Own<kj::AsyncIoStream> inner): inner(kj::mv(inner)) {}

  kj::Promise<void> write(const void* buffer, size_t size) override {
    return inner->write(buffer, size);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return inner->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner->whenWriteDisconnected(); }
  void shutdownWrite() override { inner->shutdownWrite(); }
  void abortRead() override { inner->abortRead(); }

 protected:
  kj::Own<kj::AsyncIoStream> inner;
};

class ThrottledStream final: public ReadGuard {
 public:
  ThrottledStream(kj::Own<kj::AsyncIoStream> inner, kj::Timer& timer)
      : ReadGuard(kj::mv(inner)), timer(timer), since(timer.now()) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    auto debt = taken / PERIOD_BYTES;  // periods
    if (debt > 0) co_await timer.atTime(since + debt * PERIOD);
    auto passed = (timer.now() - since) / PERIOD;
    since += passed * PERIOD;
    taken -= kj::min(taken, passed * PERIOD_BYTES);
    auto most = kj::max(minBytes, kj::min(maxBytes, size_t(PERIOD_BYTES)));
    auto size = co_await inner->tryRead(buffer, minBytes, most);
    taken += size;
    co_return size;
  }

 private:
  kj::Timer& timer;
  kj::TimePoint since;
  uint64_t taken = 0;  // since then
};

[[noreturn]] void refuse(kj::StringPtr what) {
  kj::throwFatalException(badInput(kj::str("it sends ", what)));
}

// The answer to a WebSocket's handshake, up to its empty line. KJ accepts more than one form of it:
// here it is the one that leaves no doubt where the frames begin.
class Handshake {
 public:
  // May it be the one? What follows its end is left in `bytes`.
  bool take(kj::ArrayPtr<const kj::byte>& bytes) {
    while (!hasEnded && bytes.size() > 0) {
      auto c = char(bytes[0]);
      bytes = bytes.slice(1, bytes.size());
      if (said.size() >= MAX_WS_HEADER_BYTES) refuse("a handshake that does not end");
      isOne = isOne && isInPlace(c);
      hasEnded = c == '\n' && lineBytes == 0;
      if (c == '\n') lineBytes = 0;
      else if (c != '\r') ++lineBytes;
      said.add(c);
    }
    return isOne;
  }

  bool isDone() const { return hasEnded; }

  // Of another answer, with what came of its body.
  [[noreturn]] void complain(kj::ArrayPtr<const kj::byte> body) const {
    const auto versionBytes = START.size() - CODE_BYTES - 1;
    auto text = kj::heapString(said);
    if (said.size() < START.size() || !text.startsWith("HTTP/1.")) refuse("what is no HTTP");
    auto code = kj::heapString(said.slice(versionBytes, versionBytes + CODE_BYTES));
    auto about = body.size() == 0 ? kj::String()
        : kj::str(": `", shorten(kj::heapString(body.asChars())), "`");
    kj::throwFatalException(badInput(kj::str("HTTP ", code, ", and not a WebSocket", about)));
  }

 private:
  static constexpr kj::StringPtr START = "HTTP/1.1 101 "_kj;
  static constexpr size_t CODE_BYTES = 3;

  bool isInPlace(char c) const {
    auto i = said.size();
    bool isAfterReturn = i > 0 && said.back() == '\r';
    return (i >= START.size() || c == START[i]) && isAfterReturn == (c == '\n');
  }

  kj::Vector<char> said;
  size_t lineBytes = 0;
  bool isOne = true, hasEnded = false;
};

class FrameReadGuard final: public ReadGuard {
 public:
  FrameReadGuard(kj::Own<kj::AsyncIoStream> inner, kj::Timer& timer)
      : ReadGuard(kj::mv(inner)), timer(timer), refilled(timer.now()) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    constexpr size_t AT_ONCE = 4096;
    auto most = kj::max(minBytes, kj::min(maxBytes, AT_ONCE));
    auto size = co_await inner->tryRead(buffer, minBytes, most);
    auto bytes = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
    if (!handshake.isDone() && !handshake.take(bytes)) {
      // Nobody else sees any of it: it might be taken for a handshake.
      while (!handshake.isDone() && size > 0) {
        size = co_await inner->tryRead(buffer, 1, most);
        bytes = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
        handshake.take(bytes);
      }
      handshake.complain(bytes);
    }
    look(bytes);
    co_return size;
  }

 private:
  void look(kj::ArrayPtr<const kj::byte> bytes) {
    while (bytes.size() > 0) {
      if (payload > 0) {
        auto skipped = kj::min(payload, uint64_t(bytes.size()));
        payload -= skipped;
        bytes = bytes.slice(skipped, bytes.size());
      } else {
        head[headBytes++] = bytes[0];
        bytes = bytes.slice(1, bytes.size());
        lookAtHead();
      }
    }
  }

  void lookAtHead() {
    if (headBytes < 2) return;
    constexpr kj::byte SHORT = 126, LONG = 127;
    auto length = kj::byte(head[1] & 0x7f);
    size_t whole = length == LONG ? 10 : length == SHORT ? 4 : 2;
    if (headBytes < whole) return;
    headBytes = 0;
    if (head[1] & 0x80) refuse("a masked frame");  // as no server may send one
    payload = length;
    if (length >= SHORT) {
      payload = 0;
      for (size_t i = 2; i < whole; i++) payload = payload << 8 | head[i];
    }
    bool isFinal = head[0] & 0x80, isControl = head[0] & 0x08;
    if (isControl) return countControl();
    messageBytes += payload;
    if (payload > MAX_WS_MESSAGE_BYTES || messageBytes > MAX_WS_MESSAGE_BYTES) {
      refuse("a message that is too long");
    }
    if (isFinal) messageBytes = 0;
    pieces = isFinal ? 0 : pieces + 1;
    if (!isFinal && payload == 0) refuse("an empty piece of a message");
    if (pieces > MAX_WS_PIECES) refuse("a message in too many pieces");
  }

  void countControl() {
    auto passed = (timer.now() - refilled) / kj::SECONDS;
    if (passed > 0) {
      refilled += passed * kj::SECONDS;
      control -= kj::min(control, uint64_t(passed));
    }
    if (++control > MAX_WS_CONTROL_BURST) refuse("too many pings, pongs or closes");
  }

  kj::Timer& timer;
  Handshake handshake;
  kj::byte head[10] = {};
  size_t headBytes = 0;
  uint64_t payload = 0;  // left of the current frame
  kj::uint pieces = 0;
  uint64_t messageBytes = 0;  // of the pieces up to now
  uint64_t control = 0;
  kj::TimePoint refilled;
};

struct Wrapper final: public kj::Refcounted {
  explicit Wrapper(StreamWrapper wrap): wrap(kj::mv(wrap)) {}
  StreamWrapper wrap;
};

class WrappedAddress final: public kj::NetworkAddress {
 public:
  WrappedAddress(kj::Own<kj::NetworkAddress> inner, kj::Own<Wrapper> wrapper)
      : inner(kj::mv(inner)), wrapper(kj::mv(wrapper)) {}

  kj::Promise<kj::Own<kj::AsyncIoStream>> connect() override {
    return inner->connect().then([w = kj::addRef(*wrapper)](auto stream) mutable {
      return w->wrap(kj::mv(stream));
    });
  }
  kj::Own<kj::ConnectionReceiver> listen() override { return inner->listen(); }
  kj::Own<kj::NetworkAddress> clone() override {
    return kj::heap<WrappedAddress>(inner->clone(), kj::addRef(*wrapper));
  }
  kj::String toString() override { return inner->toString(); }

 private:
  kj::Own<kj::NetworkAddress> inner;
  kj::Own<Wrapper> wrapper;
};

class WrappedNetwork final: public kj::Network {
 public:
  WrappedNetwork(kj::Network& inner, kj::Own<Wrapper> wrapper)
      : inner(inner), wrapper(kj::mv(wrapper)) {}

  kj::Promise<kj::Own<kj::NetworkAddress>> parseAddress(kj::StringPtr text,
                                                        kj::uint portHint) override {
    return inner.parseAddress(text, portHint).then(
        [w = kj::addRef(*wrapper)](auto address) mutable -> kj::Own<kj::NetworkAddress> {
      return kj::heap<WrappedAddress>(kj::mv(address), kj::mv(w));
    });
  }
  kj::Own<kj::NetworkAddress> getSockaddr(const void* address, kj::uint size) override {
    return kj::heap<WrappedAddress>(inner.getSockaddr(address, size), kj::addRef(*wrapper));
  }
  kj::Own<kj::Network> restrictPeers(kj::ArrayPtr<const kj::StringPtr> allow,
                                     kj::ArrayPtr<const kj::StringPtr> deny) override {
    auto restricted = inner.restrictPeers(allow, deny);
    auto& ref = *restricted;
    return kj::heap<WrappedNetwork>(ref, kj::addRef(*wrapper)).attach(kj::mv(restricted));
  }

 private:
  kj::Network& inner;
  kj::Own<Wrapper> wrapper;
};

}  // namespace

kj::Own<kj::AsyncIoStream> throttle(kj::Own<kj::AsyncIoStream> inner, kj::Timer& timer) {
  return kj::heap<ThrottledStream>(kj::mv(inner), timer);
}

kj::Own<kj::AsyncIoStream> guardFrames(kj::Own<kj::AsyncIoStream> inner, kj::Timer& timer) {
  return kj::heap<FrameReadGuard>(kj::mv(inner), timer);
}

kj::Own<kj::Network> wrapStreams(kj::Network& inner, StreamWrapper wrap) {
  return kj::heap<WrappedNetwork>(inner, kj::refcounted<Wrapper>(kj::mv(wrap)));
}

}  // namespace ww
