#pragma once
// One of a node's event loops, from within: its cells, its links to the other loops, and what it
// does for them. Lives on that loop.

#include <ww/cell/cell-group.h>
#include <ww/cell/cell-loop.h>
#include <ww/node/loop-board.h>

namespace ww {

// What one loop runs its cells with. All of it outlives the loop.
struct NodeLoopParts {
  ffi::Engine& engine;
  ffi::Compiler& compiler;
  kj::Timer& timer;
  LineSink& log;
  const CellList& list;
  LimitHits& hits;
  LeaseList& leases;
  Limits limits;
};

class NodeLoop final: public CellLoop {
 public:
  // Serves its inbox, and the other loops, from now on.
  NodeLoop(const LoopBoard& board, kj::uint number, NodeLoopParts parts);

  // Its cells have ended before. What other loops have of it is gone; the inbox is served no more.
  ~NodeLoop() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(NodeLoop);

  kj::uint getNumber() const override { return number; }
  const LoopLoads& getLoads() const override { return board->getLoads(); }
  const LoopInbox& getInbox(kj::uint loop) const override { return board->inboxOf(loop); }
  CellParts parts() override;
  LeaseList& getLeases() override { return given.leases; }
  CellGroup& getKeeper() override { return *keeper; }
  kj::Promise<capnp::Capability::Client> send(kj::uint loop, Errand errand) override;

 private:
  class Door;
  kj::Promise<capnp::Capability::Client> carryOut(uint64_t errand);

  kj::Own<const LoopBoard> board;
  const kj::uint number;
  NodeLoopParts given;
  LoopCells here;
  kj::Own<CellGroup> keeper = kj::refcounted<CellGroup>();
  kj::Array<kj::Maybe<kj::Own<LoopLink>>> links;  // by loop; none to itself
  kj::Promise<void> serving;
};

}  // namespace ww
