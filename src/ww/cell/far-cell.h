#pragma once
// A cell that runs on another loop than whoever started it, as both know it. Counted by reference,
// from either thread.
//
// The group that it belongs to may end it at any time, also before it has come to be: it then does
// not. That it has ended is told once, by a promise of the group's loop, whatever became of it.

#include <atomic>
#include <kj/async.h>
#include <kj/refcount.h>
#include <ww/base/inbox.h>

namespace ww {

class Cell;

class FarCell final: public kj::AtomicRefcounted {
 public:
  using OnEnd = kj::Own<kj::CrossThreadPromiseFulfiller<void>>;

  // `home` is the inbox of the loop that it runs on.
  FarCell(const LoopInbox& home, OnEnd onEnd): home(kj::atomicAddRef(home)), onEnd(kj::mv(onEnd)) {}
  KJ_DISALLOW_COPY_AND_MOVE(FarCell);

  // ---- the group's loop

  // Soon; the first code stays.
  void end(int32_t code) const;

  bool isDetached() const { return detached.load(std::memory_order_acquire); }

  // ---- the cell's loop

  // What goes with the cell to its loop. That it is dropped says that the cell has ended, or never
  // came to be.
  class Ticket {
   public:
    explicit Ticket(kj::Own<const FarCell> far): far(kj::mv(far)) {}
    Ticket(Ticket&&) = default;
    ~Ticket() noexcept(false);
    KJ_DISALLOW_COPY(Ticket);

    // Throws `ended:` where the group has ended it.
    void requireWanted() const;

    // It runs; ends it, where that was asked for meanwhile.
    void arrive(Cell& cell);
    void setDetached() { far->detached.store(true, std::memory_order_release); }

   private:
    kj::Own<const FarCell> far;
  };

 private:
  static constexpr int64_t NONE = kj::maxValue;  // no exit code

  kj::Own<const LoopInbox> home;
  mutable std::atomic<int64_t> wantedEnd{NONE};
  mutable std::atomic<bool> detached{false};
  mutable kj::Maybe<Cell&> cell;  // its loop's alone; while it runs
  const OnEnd onEnd;
};

}  // namespace ww
