#pragma once
// The Host capability of a cell on another loop than the network's: the node is asked there,
// through a Host of the same session. Executors are of this loop.

#include <kj/function.h>
#include <peer.capnp.h>
#include <ww/net/cell-host.h>

namespace ww {

class FarHostServer final: public CellHost {
 public:
  // `reach` is called once at the most, when something is asked of the network; what it refers to
  // outlives the lease's standing.
  FarHostServer(Lease& lease, kj::Function<peer::Host::Client()> reach,
                peer::Executor::Client executor)
      : CellHost(lease), reach(kj::mv(reach)), executorClient(kj::mv(executor)) {}

  kj::Promise<void> id(IdContext context) override;
  kj::Promise<void> addrs(AddrsContext context) override;
  kj::Promise<void> peers(PeersContext context) override;
  kj::Promise<void> connect(ConnectContext context) override;
  kj::Promise<void> executor(ExecutorContext context) override;

 private:
  peer::Host::Client& there();

  kj::Function<peer::Host::Client()> reach;
  kj::Maybe<peer::Host::Client> reached;
  peer::Executor::Client executorClient;
};

}  // namespace ww
