#pragma once
// The host's side of one of a cell's three standard pipes, shared by all who hold it: reads and
// writes take turns, in the order they came. It outlives the cell: what was written is still read.

#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/refcount.h>
#include <ww/base/recycled.h>
#include <ww/cell/turnstile.h>
#include <ww/epoch/lease.h>
#include <ww/ffi/pipe-stream.h>

namespace ww {

// The most that one read gives, whatever was asked for.
constexpr uint32_t MAX_READ_BYTES = 64 * 1024;

// Reads of one stream that may wait.
constexpr kj::uint MAX_PENDING_READS = 16;

class PipeEnd final: public kj::Refcounted, public Recycled<PipeEnd> {
 public:
  enum class Direction { TO_CELL, FROM_CELL };

  // `name` is "stdin" and the like, for messages; a literal.
  PipeEnd(kj::StringPtr name, Direction direction, kj::Own<ffi::PipeStream> stream);
  ~PipeEnd() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(PipeEnd);

  // Someone who may use it. When the last one goes, a pipe to the cell is closed.
  class Holder {
   public:
    explicit Holder(kj::Own<PipeEnd> pipe);
    ~Holder() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Holder);
    PipeEnd* operator->() { return pipe.get(); }

   private:
    kj::Own<PipeEnd> pipe;
  };
  kj::Own<Holder> hold() { return kj::heap<Holder>(kj::addRef(*this)); }

  // A read whose turn has come. The bytes are yet in the pipe, so that they go from there to where
  // they are wanted: ask for the size and take them in one turn of the loop. The next read waits
  // until this is dropped. The pipe is held meanwhile by whoever asked.
  class Reading {
   public:
    Reading() {}
    Reading(PipeEnd& pipe, size_t limit, kj::Own<Turnstile::Pass> pass)
        : pipe(pipe), limit(limit), pass(kj::mv(pass)) {}

    size_t size() const;                      // 0 is the end, for ever
    void into(kj::ArrayPtr<kj::byte> space);  // fills it; no larger than size()

   private:
    kj::Maybe<PipeEnd&> pipe;
    size_t limit = 0;
    kj::Own<Turnstile::Pass> pass;
  };

  // Waits for at least one byte; of at most `maxBytes`, and MAX_READ_BYTES. Rejects on a pipe to
  // the cell, and with `overloaded: reads` where so many wait.
  kj::Promise<Reading> read(uint32_t maxBytes);

  // Resolves when the pipe has taken all of it; both live until then. Asks the lease once its turn
  // has come. Rejects on a pipe from the cell, after close(), and with `ended:` when the cell no
  // longer reads.
  kj::Promise<void> write(kj::ArrayPtr<const kj::byte> data, const Lease& lease);

  // To the cell: it reads the end, after what was written before. From the cell: reads here give
  // the end at once, and the cell's next write finds a closed stream. Again: nothing.
  kj::Promise<void> close();

  // `told` of each read that is one too many, or nothing. It must not drop this.
  void onRefusedRead(kj::Maybe<kj::Function<void()>> told) { refusedRead = kj::mv(told); }

  // Somebody waits for the cell's end: while that is so and nobody holds this pipe, what does not
  // fit into it is dropped.
  void setAwaited(bool awaited);
  uint64_t droppedBytes() const;

  // Lives as long as this does.
  void attach(kj::Own<void> object) { attachment = kj::mv(object); }

  // For the node's own use in place of all the above: the stream itself.
  // Reads and writes here reject from now on.
  kj::Own<ffi::PipeStream> takeStream() { return kj::mv(stream); }

 private:
  kj::Promise<Reading> readInTurn(size_t limit);
  void updateDiscards();
  void shutDown();
  void requireStream() const;

  kj::Own<void> attachment;
  const kj::StringPtr name;
  const Direction direction;
  kj::Own<ffi::PipeStream> stream;
  kj::Maybe<kj::Function<void()>> refusedRead;
  kj::Own<Turnstile> turnstile = kj::refcounted<Turnstile>();
  kj::uint holders = 0;
  bool awaited = false;
  bool closed = false;    // nobody here uses it any more
  bool shut = false;      // and a cell that reads it is told
  kj::Own<kj::PromiseFulfiller<void>> closedFulfiller;  // of the read whose turn it is
};

}  // namespace ww
