#pragma once
// One libp2p stream as a KJ stream. One read and one write at a time. That it ended proves nothing
// about its being complete: yamux reports a reset and an end alike.

#include <kj/async-io.h>
#include <sys/types.h>

struct WwStream;

namespace ww::ffi {

class SwarmThread;

class SwarmStream final: public kj::AsyncIoStream {
 public:
  SwarmStream(SwarmThread& thread, WwStream* raw);
  ~SwarmStream() noexcept(false);  // resets it, unless both directions have ended
  KJ_DISALLOW_COPY_AND_MOVE(SwarmStream);

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override;
  void shutdownWrite() override;
  void abortRead() override {}  // the peer is told when the stream goes
  void getsockopt(int level, int option, void* value, kj::uint* length) override;

 private:
  friend class SwarmThread;
  class ReadOp;
  class WriteOp;
  void onReadable();
  void onWritable();
  void onThreadGone();
  void setDead();

  // Bytes taken, from the pieces' bytes after `skip`; negative: the stream is dead.
  ssize_t put(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, size_t skip);

  kj::Maybe<SwarmThread&> thread;
  WwStream* const raw;
  bool dead = false;
  kj::Maybe<ReadOp&> reading;
  kj::Maybe<WriteOp&> writing;
  kj::Own<kj::PromiseFulfiller<void>> deadFulfiller;
  kj::ForkedPromise<void> deadPromise;

  SwarmStream(SwarmThread& thread, WwStream* raw, kj::PromiseFulfillerPair<void> paf);
};

}  // namespace ww::ffi
