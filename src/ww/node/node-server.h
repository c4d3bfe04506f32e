#pragma once
// The Node capability: what an operator may see and do beyond a session of their own. For the
// owner, and for keys that are allowed it.

#include <node.capnp.h>
#include <ww/cell/cell-loop.h>
#include <ww/epoch/session-bound.h>
#include <ww/epoch/head-watch.h>
#include <ww/net/swarm.h>
#include <ww/node/session-list.h>
#include <ww/stem/follower.h>

namespace ww {

class NodeServer final: public SessionBound<node::Node> {
 public:
  // References outlive the lease's standing.
  NodeServer(Lease& lease, CellParts cellParts, SessionList& sessionList, Swarm& swarm,
             HeadWatch& heads, kj::Maybe<StemFollower&> follower)
      : SessionBound(lease), cellParts(cellParts), sessionList(kj::addRef(sessionList)),
        swarm(swarm), heads(heads), follower(follower) {}

  kj::Promise<void> cells(CellsContext context) override;
  kj::Promise<void> sessions(SessionsContext context) override;
  kj::Promise<void> ping(PingContext context) override;
  kj::Promise<void> epoch(EpochContext context) override;

 private:
  CellParts cellParts;
  kj::Own<SessionList> sessionList;
  Swarm& swarm;
  HeadWatch& heads;
  kj::Maybe<StemFollower&> follower;
};

}  // namespace ww
