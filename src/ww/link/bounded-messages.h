#pragma once
// Cap'n Proto's stream of messages, of each of which no more is read than FrameLimits::readable()
// says: its own reader is told one limit for all of them, whatever their sizes.
//
// Lives on one event loop. The stream outlives it.

#include <capnp/serialize-async.h>
#include <ww/link/frame-limits.h>

namespace ww {

class BoundedMessages final: public capnp::MessageStream {
 public:
  BoundedMessages(capnp::MessageStream& inner, FrameLimits limits): inner(inner), limits(limits) {}
  KJ_DISALLOW_COPY_AND_MOVE(BoundedMessages);

  using capnp::MessageStream::tryReadMessage;
  using capnp::MessageStream::writeMessage;
  using capnp::MessageStream::writeMessages;

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd> fds, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word> scratch) override;
  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int> fds,
      kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override;
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override;
  kj::Maybe<int> getSendBufferSize() override { return inner.getSendBufferSize(); }
  kj::Promise<void> end() override { return inner.end(); }

 private:
  capnp::MessageStream& inner;
  const FrameLimits limits;
};

}  // namespace ww
