#pragma once
// What the loops of one node share, made before the first of them: their inboxes, the seats of the
// links between each two, how many cells each has, and errands on their way. Any thread.

#include <kj/array.h>
#include <kj/map.h>
#include <kj/mutex.h>
#include <ww/base/inbox.h>
#include <ww/cell/cell-loop.h>
#include <ww/link/loop-link.h>

namespace ww {

class LoopBoard final: public kj::AtomicRefcounted {
 public:
  explicit LoopBoard(kj::uint loops);
  ~LoopBoard() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(LoopBoard);

  kj::uint loopCount() const { return inboxes.size(); }
  const LoopInbox& inboxOf(kj::uint loop) const { return *inboxes[loop]; }
  const LoopLoads& getLoads() const { return loads; }

  // That of `loop` in its link with `other`. Once.
  kj::Own<LoopLink::Seat> takeSeat(kj::uint loop, kj::uint other) const;

  // An errand waits here, under a number, for the loop that is told of it.
  uint64_t leave(CellLoop::Errand errand) const;
  kj::Maybe<CellLoop::Errand> take(uint64_t number) const;

 private:
  struct State {
    kj::Array<kj::Own<LoopLink::Seat>> seats;  // by loop, and the other one
    kj::HashMap<uint64_t, CellLoop::Errand> errands;
    uint64_t last = 0;
  };

  kj::Array<kj::Own<const LoopInbox>> inboxes;
  const LoopLoads loads;
  kj::MutexGuarded<State> state;
};

}  // namespace ww
