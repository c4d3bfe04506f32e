#pragma once
// One running component, until its exit, and the tree it belongs to.
//
// A cell belongs to a CellGroup: the cells that one session, or one other cell, started. A cell
// that ends ends its own group: nothing is orphaned. A Cell object outlives the running of its
// component for whoever holds a reference (a Process capability): it then answers for the exit code
// and the output left over.
//
// Lives on one event loop, with its guest, its link and all that it is served. Ending it is safe at
// any time, even from a call that the cell itself made, but not from within the engine's poll of a
// guest (where no code of this room runs).

#include <capnp/capability.h>
#include <kj/function.h>
#include <kj/refcount.h>
#include <kj/timer.h>
#include <ww/cell/cell-group.h>
#include <ww/cell/cell-loop.h>
#include <ww/cell/pipe-end.h>
#include <ww/ffi/guest-task.h>
#include <ww/link/rpc-link.h>

namespace ww {

// Exit codes that no guest chose.
constexpr int32_t EXIT_TIMEOUT = 124;  // out of time, or of its CPU budget
constexpr int32_t EXIT_TRAP = 134;
constexpr int32_t EXIT_KILLED = 137;

constexpr int32_t EXIT_NOT_RUNNABLE = 126;  // no component, or one that cannot run here

// What a cell counts as, wherever such are counted: taken before it is made.
struct CellSeat {
  CellCount::Place held;
  CellCount::Place running;          // among those of its session
  kj::Maybe<LoopLoads::Mark> load;
};

class Cell final: public kj::Refcounted {
 public:
  // For CellMaker.
  Cell(kj::Own<ffi::GuestTask> task, CellParts& parts, const CellTerms& group, CellSeat seat);
  ~Cell() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Cell);

  // Of this process, from 1.
  uint64_t getId() const { return id; }

  // The exit code, for any number of callers, before or after the end.
  kj::Promise<int32_t> wait();

  // Did it end since it had computed, or run, for as long as it may?
  bool wasOutOfTime() const { return isOutOfTime; }

  // Ends it, and what it started, with this exit code; does nothing once it has ended.
  void end(int32_t code);

  // From now on it outlives the link that it was started over, and its output goes to a log.
  // Throws `denied:` for a cell that another one started and for pid0, `overloaded: detached`.
  // Again: nothing.
  void detach();

  bool isDetached() const { return record->isDetached(); }

  const CellRecord& getRecord() const { return *record; }

  bool isRunning() const { return exitCode == nullptr; }

  // Why it trapped, or was refused at its start, in one line, if it was.
  kj::Maybe<kj::StringPtr> findTrapCause() const;

  PipeEnd& getStdin() { return *in; }
  PipeEnd& getStdout() { return *out; }
  PipeEnd& getStderr() { return *err; }

  kj::Promise<int32_t> onExit();

  // Once, as it ends; not to drop it. What holds it is ended, or outlives it.
  void onEnd(kj::Function<void()> tell) { tellEnd = kj::mv(tell); }

 private:
  friend class CellMaker;
  struct HeldPlace: public kj::Refcounted {
    explicit HeldPlace(CellCount::Place place): place(kj::mv(place)) {}
    CellCount::Place place;
  };
  struct Running {
    CellCount::Place place;
    kj::Maybe<LoopLoads::Mark> load;
  };

  void onGuestEnd(ffi::GuestEnd end);
  void logTrap(const ffi::GuestTrap& trap);
  void logDropped(PipeEnd& pipe, kj::StringPtr name);
  void countWaiter(int difference);
  void watch(CellParts& parts);

  const uint64_t id;
  LineSink& log;
  const CellList& list;
  LoopCells& here;
  kj::Maybe<LimitHits&> limitHits;  // while it is watched
  kj::Own<const CellRecord> record;
  kj::Own<HeldPlace> place;         // its pipes have it, too
  kj::Maybe<Running> running;       // while it does
  kj::Maybe<FarCell::Ticket> far;   // while it runs, where its group is on another loop
  kj::Own<CellGroup> children;
  kj::Own<PipeEnd> in, out, err;
  kj::Maybe<kj::Own<ffi::GuestTask>> task;  // while it runs
  bool isOutOfTime = false;
  kj::Maybe<kj::Own<RpcLink>> link;         // while it runs
  kj::Maybe<int32_t> exitCode;
  kj::Maybe<kj::String> trapCause;
  bool refused = false;  // before it ever ran
  int waiters = 0;
  struct Exit {
    kj::Own<kj::PromiseFulfiller<int32_t>> fulfiller;
    kj::ForkedPromise<int32_t> promise;
  };
  kj::Maybe<Exit> exit;  // once somebody waits for it
  kj::Function<void()> tellEnd = []() {};
  kj::Promise<void> following = nullptr;
  kj::Maybe<kj::Function<void()>> onSpent;
  kj::Promise<void> clock = nullptr;
};

}  // namespace ww
