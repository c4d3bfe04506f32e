#pragma once
// Checks each message's frame as it arrives, before Cap'n Proto buffers a byte of its body: the
// number of segments and the total size. A frame over a limit ends the link with
// `overloaded: segments` or `overloaded: message`, and the reason says the limit. (Cap'n Proto
// itself checks the size against its traversal limit only, and reserves 16 bytes a segment
// unasked.)
//
// A decorator of the byte stream under one RPC link; what it guards is the direction it reads.

#include <kj/async-io.h>
#include <kj/vector.h>
#include <stdint.h>
#include <ww/link/frame-limits.h>
#include <ww/link/read-observer.h>

namespace ww {

class FrameGuard final: public kj::AsyncIoStream {
 public:
  // `observer` outlives it.
  FrameGuard(kj::Own<kj::AsyncIoStream> inner, FrameLimits limits,
             kj::Maybe<ReadObserver&> observer = nullptr);
  KJ_DISALLOW_COPY_AND_MOVE(FrameGuard);

  // For frames whose header is read from now on.
  void setLimits(FrameLimits to) { limits = to; }

  // Whoever reads is told so, now or later, and reads nothing more.
  void fail(kj::Exception&& exception);

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override;
  void shutdownWrite() override;
  void abortRead() override;
  void getsockopt(int level, int option, void* value, kj::uint* length) override;

 private:
  // Follows the frames' boundaries; the reason why the link must end, if there is one.
  kj::Maybe<kj::Exception> scan(kj::ArrayPtr<const kj::byte> bytes);
  kj::Maybe<kj::Exception> takeHeaderWord(uint32_t value);
  void finishMessage();
  kj::Maybe<kj::Exception> take(kj::ArrayPtr<const kj::byte> bytes);
  kj::Promise<size_t> readRest(kj::byte* to, size_t have, size_t least, size_t most);

  kj::Own<kj::AsyncIoStream> inner;
  FrameLimits limits;
  kj::Maybe<ReadObserver&> observer;
  kj::Canceler reading;
  kj::Maybe<kj::Exception> failure;

  uint64_t bodyBytesLeft = 0;
  uint32_t headerValue = 0;      // of the header word now being read, little endian
  kj::uint headerValueBytes = 0;
  uint64_t headerValuesLeft = 0; // 0: the next one is a segment count
  uint64_t segmentsLeft = 0;     // whose sizes are still to come; what follows them is padding
  uint64_t headerWords = 0;
  uint64_t bodyWords = 0;
  bool isLastEmpty = false;      // the segment before the next
  ReadProgress progress;
};

}  // namespace ww
