#pragma once
// What a detached cell writes, stdout and stderr as they come, of which the last MAX_BYTES are
// kept. Any number of readers, each at its own place; one that is too slow misses what is gone.
//
// One event loop. It reads on after the cell's end, to the end of what was left.

#include <kj/async.h>
#include <kj/refcount.h>
#include <ww/cell/pipe-end.h>

namespace ww {

class CellLog final: public kj::Refcounted {
 public:
  static constexpr size_t MAX_BYTES = 256 * 1024;

  // Becomes one who holds the two, until each has ended.
  CellLog(PipeEnd& out, PipeEnd& err);
  ~CellLog() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(CellLog);

  // Where a reader starts: the oldest byte that is there. Positions count from the first ever.
  uint64_t begin() const { return end - kept; }

  // Up to `maxBytes` from `position`, or from begin() where that is later, which it then moves
  // behind what it gives. Empty: nothing more for now.
  kj::Array<kj::byte> take(uint64_t& position, size_t maxBytes) const;

  bool hasMore(uint64_t position) const { return position < end; }

  // Nothing more, and never will be.
  bool isAtEnd(uint64_t position) const { return open == 0 && !hasMore(position); }

  // Resolves when there is more than now, or a pipe has ended. Any number of callers.
  kj::Promise<void> onMore() { return onRing.addBranch(); }

 private:
  kj::Promise<void> follow(kj::Own<PipeEnd::Holder> pipe);
  void append(kj::ArrayPtr<const kj::byte> bytes);
  void ring();

  kj::Array<kj::byte> bytes;  // a ring; grows to MAX_BYTES as it is needed
  uint64_t end = 0;
  size_t kept = 0;
  kj::uint open = 2;
  kj::Own<kj::PromiseFulfiller<void>> more;
  kj::ForkedPromise<void> onRing;
  kj::Promise<void> out = nullptr, err = nullptr;

  CellLog(PipeEnd& out, PipeEnd& err, kj::PromiseFulfillerPair<void> paf);
};

}  // namespace ww
