#pragma once
// The Executor capability of one session, for one parent: what it runs belongs to that parent's
// group and to that session's lease. Its children get a bootstrap capability from a factory that
// node/ supplies; this room cannot tell what it is.
//
// A cell runs on the loop that has the fewest, on this one unless another has notably fewer
// (loop-loads.h); its Process is then served there, and handed out here.

#include <peer.capnp.h>
#include <ww/base/recycled.h>
#include <ww/cell/cell-builder.h>
#include <ww/epoch/session-bound.h>

namespace ww {

// The largest component that runBytes takes.
constexpr size_t MAX_WASM_BYTES = size_t(48) << 20;

// Of args, and of env: many small texts cost far more here than on the wire.
constexpr kj::uint MAX_TEXTS = 4096;
constexpr size_t MAX_TEXT_BYTES = size_t(1) << 20;  // all of a list together

class ChildBootstrap;

// What another loop takes to give its cells what a session gives. Counted from any thread.
class BootstrapSeed: public kj::AtomicRefcounted {
 public:
  // On the loop that `there` is.
  virtual kj::Own<ChildBootstrap> unfold(CellLoop& there) const = 0;
};

// What one session gives the cells that it starts, made by whoever knows what it is.
class ChildBootstrap: public kj::Refcounted {
 public:
  // Whose those cells are.
  virtual kj::Own<const CellOrigin> getOrigin() = 0;

  // The bootstrap capability of a new cell. `children` is the group of what that cell will start;
  // all that is made hangs on the lease.
  virtual capnp::Capability::Client serveChild(Lease& lease, CellGroup& children) = 0;

  // Keeps the session, as what a cell is given does.
  virtual kj::Own<const BootstrapSeed> makeSeed(Lease& lease) = 0;
};

class ExecutorServer final: public SessionBound<peer::Executor>,
                            public Recycled<ExecutorServer> {
 public:
  ExecutorServer(Lease& lease, CellParts parts, CellGroup& group, ChildBootstrap& bootstrap);

  kj::Promise<void> runBytes(RunBytesContext context) override;
  kj::Promise<void> echo(EchoContext context) override;
  kj::Promise<void> cells(CellsContext context) override;

 private:
  kj::Promise<peer::Process::Client> start(CellPlan plan);

  CellParts parts;
  kj::Own<CellGroup> group;
  kj::Own<ChildBootstrap> bootstrap;
};

}  // namespace ww
