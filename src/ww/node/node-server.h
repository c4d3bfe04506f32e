#pragma once
// The Node capability: what an operator may see and do beyond a session of their own. For the
// owner, and for keys that are allowed it.

#include <node.capnp.h>
#include <ww/cell/cell-list.h>
#include <ww/epoch/session-bound.h>
#include <ww/net/swarm.h>
#include <ww/node/session-list.h>

namespace ww {

class NodeServer final: public SessionBound<node::Node> {
 public:
  // `cellList` and `swarm` outlive the lease's standing.
  NodeServer(Lease& lease, CellList& cellList, SessionList& sessionList, Swarm& swarm)
      : SessionBound(lease), cellList(cellList), sessionList(kj::addRef(sessionList)),
        swarm(swarm) {}

  kj::Promise<void> cells(CellsContext context) override;
  kj::Promise<void> sessions(SessionsContext context) override;
  kj::Promise<void> ping(PingContext context) override;

 private:
  CellList& cellList;
  kj::Own<SessionList> sessionList;
  Swarm& swarm;
};

}  // namespace ww
