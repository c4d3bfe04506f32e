#include <ww/link/frame-guard.h>

#include <ww/base/error.h>

namespace ww {

FrameGuard::FrameGuard(kj::Own<kj::AsyncIoStream> inner, FrameLimits limits,
                       kj::Maybe<ReadObserver&> observer)
    : inner(kj::mv(inner)), limits(limits), observer(observer) {}

// The rest of a large message is read as it comes, so that it is seen to come.
kj::Promise<size_t> FrameGuard::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  KJ_IF_MAYBE(exception, failure) return kj::cp(*exception);
  auto bytes = static_cast<kj::byte*>(buffer);
  return reading.wrap(inner->tryRead(buffer, kj::min(minBytes, 1u), maxBytes).then(
      [this, bytes, minBytes, maxBytes](size_t n) -> kj::Promise<size_t> {
    KJ_IF_MAYBE(exception, take(kj::arrayPtr(bytes, n))) return kj::mv(*exception);
    if (n == 0 || n >= minBytes) return n;
    return readRest(bytes, n, minBytes, maxBytes);
  }));
}

kj::Promise<size_t> FrameGuard::readRest(kj::byte* to, size_t have, size_t least, size_t most) {
  while (have < least) {
    auto n = co_await inner->tryRead(to + have, 1, most - have);
    if (n == 0) break;
    KJ_IF_MAYBE(exception, take(kj::arrayPtr(to + have, n))) {
      kj::throwFatalException(kj::mv(*exception));
    }
    have += n;
  }
  co_return have;
}

void FrameGuard::fail(kj::Exception&& exception) {
  if (failure != nullptr) return;
  failure = kj::cp(exception);
  reading.cancel(kj::mv(exception));
}

kj::Maybe<kj::Exception> FrameGuard::take(kj::ArrayPtr<const kj::byte> bytes) {
  auto problem = scan(bytes);
  progress.bytes += bytes.size();
  KJ_IF_MAYBE(o, observer) o->onRead(progress);
  return problem;
}

kj::Maybe<kj::Exception> FrameGuard::scan(kj::ArrayPtr<const kj::byte> bytes) {
  while (bytes.size() > 0) {
    if (bodyBytesLeft > 0) {
      auto n = kj::min(bodyBytesLeft, uint64_t(bytes.size()));
      bodyBytesLeft -= n;
      progress.unfinished += n;
      if (bodyBytesLeft == 0) finishMessage();
      bytes = bytes.slice(n, bytes.size());
      continue;
    }
    headerValue |= uint32_t(bytes[0]) << (8 * headerValueBytes);
    bytes = bytes.slice(1, bytes.size());
    ++progress.unfinished;
    if (++headerValueBytes < sizeof(uint32_t)) continue;
    auto value = headerValue;
    headerValue = 0;
    headerValueBytes = 0;
    KJ_IF_MAYBE(exception, takeHeaderWord(value)) return kj::mv(*exception);
  }
  return nullptr;
}

kj::Maybe<kj::Exception> FrameGuard::takeHeaderWord(uint32_t value) {
  if (headerValuesLeft == 0) {
    // The count less one; the table of sizes is padded to whole words.
    segmentsLeft = uint64_t(value) + 1;
    if (segmentsLeft > limits.segments) {
      return overloaded(kj::str("segments: a message of ", segmentsLeft,
                                " segments; the link's limit is ", limits.segments));
    }
    headerValuesLeft = segmentsLeft | 1;
    headerWords = (1 + headerValuesLeft) / 2;
    bodyWords = 0;
    isLastEmpty = false;
    return nullptr;
  }
  if (segmentsLeft > 0) {
    if (value > 0 && isLastEmpty) return overloaded(EMPTY_SEGMENT);
    isLastEmpty = value == 0;
    --segmentsLeft;
    bodyWords += value;
    if (headerWords + bodyWords > limits.words) {
      return overloaded(kj::str("message: a frame of at least ", (headerWords + bodyWords) * 8,
                                " bytes; the link's limit is ", limits.words * 8));
    }
  }
  if (--headerValuesLeft == 0) {
    bodyBytesLeft = bodyWords * 8;
    if (bodyBytesLeft == 0) finishMessage();
  }
  return nullptr;
}

void FrameGuard::finishMessage() {
  ++progress.messages;
  progress.unfinished = 0;
}

kj::Promise<void> FrameGuard::write(const void* buffer, size_t size) {
  return inner->write(buffer, size);
}
kj::Promise<void> FrameGuard::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  return inner->write(pieces);
}
kj::Promise<void> FrameGuard::whenWriteDisconnected() { return inner->whenWriteDisconnected(); }
void FrameGuard::shutdownWrite() { inner->shutdownWrite(); }
void FrameGuard::abortRead() { inner->abortRead(); }
void FrameGuard::getsockopt(int level, int option, void* value, kj::uint* length) {
  inner->getsockopt(level, option, value, length);
}

}  // namespace ww
