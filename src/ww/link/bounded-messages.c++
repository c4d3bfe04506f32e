#include <ww/link/bounded-messages.h>

namespace ww {
namespace {

class BoundedReader final: public capnp::MessageReader {
 public:
  BoundedReader(kj::Own<capnp::MessageReader> inner, capnp::ReaderOptions options)
      : MessageReader(options), inner(kj::mv(inner)) {}

  kj::ArrayPtr<const capnp::word> getSegment(kj::uint id) override {
    return inner->getSegment(id);
  }

 private:
  kj::Own<capnp::MessageReader> inner;
};

// Its own sizeInWords() is for readers whose root has been read.
uint64_t wordsOf(capnp::MessageReader& message) {
  uint64_t words = 0;
  for (kj::uint i = 0;; i++) {
    auto segment = message.getSegment(i);
    if (segment == nullptr) return words;
    words += segment.size();
  }
}

}  // namespace

kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> BoundedMessages::tryReadMessage(
    kj::ArrayPtr<kj::AutoCloseFd> fds, capnp::ReaderOptions options,
    kj::ArrayPtr<capnp::word> scratch) {
  return inner.tryReadMessage(fds, options, scratch).then(
      [limits = limits, options](kj::Maybe<capnp::MessageReaderAndFds>&& read) mutable
          -> kj::Maybe<capnp::MessageReaderAndFds> {
    KJ_IF_MAYBE(message, read) {
      options.traversalLimitInWords = limits.readable(wordsOf(*message->reader));
      message->reader = kj::heap<BoundedReader>(kj::mv(message->reader), options);
    }
    return kj::mv(read);
  });
}

kj::Promise<void> BoundedMessages::writeMessage(
    kj::ArrayPtr<const int> fds, kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  return inner.writeMessage(fds, segments);
}

kj::Promise<void> BoundedMessages::writeMessages(
    kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) {
  return inner.writeMessages(messages);
}

}  // namespace ww
