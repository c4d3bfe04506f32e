#pragma once
// A byte channel as a stream of KJ's, for Cap'n Proto's own network over it: in tests that have it
// at one end of a cell's connection or both (WW_STOCK_NETWORK). Lives on one event loop.

#include <kj/async-io.h>
#include <kj/debug.h>
#include <ww/base/byte-channel.h>

namespace ww {

class ChannelStream final: public kj::AsyncIoStream, private ByteChannel::User {
 public:
  explicit ChannelStream(kj::Own<ByteChannel> bytes): channel(kj::mv(bytes)) {
    channel->attach(*this);
  }
  KJ_DISALLOW_COPY_AND_MOVE(ChannelStream);

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    KJ_REQUIRE(!reading.isWaiting(), "one read at a time");
    auto paf = kj::newPromiseAndFulfiller<size_t>();
    reading = {kj::arrayPtr(static_cast<kj::byte*>(buffer), maxBytes), minBytes, 0,
               kj::mv(paf.fulfiller)};
    onReadable();
    return kj::mv(paf.promise);
  }

  kj::Promise<void> write(const void* buffer, size_t size) override {
    auto rest = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
    while (rest.size() > 0) {
      KJ_IF_MAYBE(n, channel->write(rest)) {
        rest = rest.slice(*n, rest.size());
      } else {
        kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the peer no longer reads"));
      }
      if (rest.size() == 0) break;
      auto paf = kj::newPromiseAndFulfiller<void>();
      room = kj::mv(paf.fulfiller);
      co_await paf.promise;
    }
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    for (auto piece: pieces) co_await write(piece.begin(), piece.size());
  }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
  void shutdownWrite() override { channel->closeWrite(); }

 private:
  struct Reading {
    kj::ArrayPtr<kj::byte> buffer;
    size_t least = 0, done = 0;
    kj::Own<kj::PromiseFulfiller<size_t>> fulfiller;

    bool isWaiting() { return fulfiller.get() != nullptr && fulfiller->isWaiting(); }
  };
  Reading reading;
  kj::Own<kj::PromiseFulfiller<void>> room;
  kj::Own<ByteChannel> channel;

  // Reads here and now: a guest's channel may block in it.
  void onReadable() override {
    if (!reading.isWaiting()) return;
    while (reading.done < reading.least) {
      KJ_IF_MAYBE(n, channel->read(reading.buffer.slice(reading.done, reading.buffer.size()))) {
        if (*n == 0) return;
        reading.done += *n;
      } else {
        break;
      }
    }
    reading.fulfiller->fulfill(kj::cp(reading.done));
  }
  void onWritable() override {
    if (room.get() != nullptr) room->fulfill();
  }
};

}  // namespace ww
