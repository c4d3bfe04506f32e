#pragma once
// A node's event loops, as one of them sees the others. Each has cells of its own, with their Hosts
// and Executors; from one to another cross errands, and what they bring back: capabilities, over an
// RPC link between the two.
//
// Lives on its loop, and outlives its cells.

#include <capnp/capability.h>
#include <kj/function.h>
#include <ww/base/line-quota.h>
#include <ww/cell/cell-list.h>
#include <ww/cell/limit-hits.h>
#include <ww/cell/limits.h>
#include <ww/cell/loop-cells.h>
#include <ww/cell/loop-loads.h>
#include <ww/epoch/lease-list.h>
#include <ww/ffi/compiler.h>

namespace ww {

namespace ffi { class Engine; }

class CellGroup;
class CellLoop;

// What the cells of one loop are made with. Everything outlives them.
struct CellParts {
  ffi::Engine& engine;
  ffi::Compiler& compiler;
  kj::Timer& timer;
  LineSink& log;
  const CellList& list;  // of the node
  LoopCells& here;
  LimitHits& hits;
  Limits limits;
  kj::Maybe<CellLoop&> loop = nullptr;  // none: there is no other
};

class CellLoop {
 public:
  // What is done on another loop. It is moved there and dropped there; or here, where nobody waits
  // for it any more before that loop has come to it.
  using Errand = kj::Function<kj::Promise<capnp::Capability::Client>(CellLoop& there)>;

  virtual ~CellLoop() noexcept(false) {}

  virtual kj::uint getNumber() const = 0;
  virtual const LoopLoads& getLoads() const = 0;
  virtual const LoopInbox& getInbox(kj::uint loop) const = 0;
  virtual CellParts parts() = 0;
  virtual LeaseList& getLeases() = 0;

  // Of the cells here whose parents live on other loops.
  virtual CellGroup& getKeeper() = 0;

  // Has another loop do it. Fails as the errand does; dropping the promise drops the errand's.
  virtual kj::Promise<capnp::Capability::Client> send(kj::uint loop, Errand errand) = 0;
};

}  // namespace ww
