#pragma once
// The Executor capability of one session, for one parent: what it runs belongs to that parent's
// group and to that session's lease. Its children get a bootstrap capability from a factory that
// node/ supplies; this room cannot tell what it is.

#include <peer.capnp.h>
#include <ww/cell/cell.h>
#include <ww/epoch/session-bound.h>

namespace ww {

// The largest component that runBytes takes.
constexpr size_t MAX_WASM_BYTES = size_t(48) << 20;

// Given the session's lease and the group of what the new cell will start.
using ChildBootstrap = kj::Function<capnp::Capability::Client(Lease& lease, CellGroup& children)>;

class ExecutorServer final: public SessionBound<peer::Executor> {
 public:
  // `childBootstrap` outlives all executors.
  ExecutorServer(Lease& lease, CellParts parts, CellGroup& group, ChildBootstrap& childBootstrap);

  kj::Promise<void> runBytes(RunBytesContext context) override;
  kj::Promise<void> echo(EchoContext context) override;

 private:
  CellParts parts;
  kj::Own<CellGroup> group;
  ChildBootstrap& childBootstrap;
};

}  // namespace ww
