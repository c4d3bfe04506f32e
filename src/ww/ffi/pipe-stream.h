#pragma once
// The host's end of one or two of a guest's pipes, as a KJ stream. Bounded: a write waits until the
// guest has taken enough. Dropping it closes both directions: the guest reads end of file, and its
// next write finds a closed stream. It may outlive the guest; then it gives what is left, and end
// of file. One read and one write at a time. Lives on the engine's loop.

#include <kj/async-io.h>
#include <sys/types.h>
#include <ww/base/recycled.h>
#include <ww/ffi/pipe-listener.h>

struct WwPipe;

namespace ww::ffi {

class PipeStream final: public kj::AsyncIoStream, public Recycled<PipeStream> {
 public:
  // Takes the references over; either may be null, and then that direction must not be used.
  PipeStream(WwPipe* toGuest, WwPipe* fromGuest);
  ~PipeStream() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(PipeStream);

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override;
  void shutdownWrite() override;
  void abortRead() override;
  void getsockopt(int level, int option, void* value, kj::uint* length) override;

  // Resolves once there are bytes to read, and at the end. It is the one read that there may be.
  kj::Promise<void> whenReadable();

  size_t readableNow() const;  // how many bytes are there; none at the end, too

  // Fills it; no larger than readableNow().
  void readNow(kj::ArrayPtr<kj::byte> space);

  // Resolves once the guest has looked for bytes that were not there: a guest that never reads is
  // to keep nobody's input. Once.
  kj::Promise<void> onWanted();

  // While set, what the guest writes beyond the pipe's capacity is dropped and counted, so that
  // the guest goes on. For output that nobody reads.
  void setDiscards(bool discards);
  uint64_t discardedBytes() const;

 private:
  class ReadOp;
  class WriteOp;
  struct ReadEnd final: public PipeListener {
    explicit ReadEnd(PipeStream& stream): stream(stream) {}
    void onPipeEvent() noexcept override;
    PipeStream& stream;
  };
  struct WriteEnd final: public PipeListener {
    explicit WriteEnd(PipeStream& stream): stream(stream) {}
    void onPipeEvent() noexcept override;
    PipeStream& stream;
  };

  // Bytes taken, from the pieces' bytes after `skip`; -1: nobody reads.
  ssize_t put(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, size_t skip);

  WwPipe* const toGuest;
  WwPipe* const fromGuest;
  WriteEnd writeEnd{*this};
  ReadEnd readEnd{*this};
  kj::Maybe<ReadOp&> reading;
  kj::Maybe<WriteOp&> writing;
  kj::Maybe<kj::ForkedPromise<void>> disconnected;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> disconnectFulfiller;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> wantedFulfiller;
};

}  // namespace ww::ffi
