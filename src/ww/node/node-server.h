#pragma once
// The Node capability: what an operator may see and do beyond a session of their own. For the
// owner, and for keys that are allowed it.

#include <node.capnp.h>
#include <ww/cell/cell-loop.h>
#include <ww/epoch/session-bound.h>
#include <ww/epoch/head-watch.h>
#include <ww/net/swarm.h>
#include <ww/node/image-keeper.h>
#include <ww/node/session-list.h>
#include <ww/stem/follower.h>

namespace ww {

// What of the node it is made of. References outlive the lease's standing.
struct NodeParts {
  CellParts cells;
  SessionList& sessions;
  Swarm& swarm;
  HeadWatch& heads;
  kj::Maybe<StemFollower&> follower;
  kj::Maybe<ImageKeeper&> images;  // none: it keeps none
};

class NodeServer final: public SessionBound<node::Node> {
 public:
  // `caller`: the peer whose session it is; none: the owner.
  NodeServer(Lease& lease, NodeParts parts, kj::Maybe<PeerId> caller)
      : SessionBound(lease), parts(kj::mv(parts)), sessionList(kj::addRef(this->parts.sessions)),
        caller(kj::mv(caller)) {}

  kj::Promise<void> cells(CellsContext context) override;
  kj::Promise<void> sessions(SessionsContext context) override;
  kj::Promise<void> ping(PingContext context) override;
  kj::Promise<void> epoch(EpochContext context) override;
  kj::Promise<void> keepImage(KeepImageContext context) override;
  kj::Promise<void> keeping(KeepingContext context) override;

 private:
  NodeParts parts;
  kj::Own<SessionList> sessionList;
  const kj::Maybe<PeerId> caller;
  bool isKeeping = false;   // an image
  uint64_t steps = 0;       // with it
};

}  // namespace ww
