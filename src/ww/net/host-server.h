#pragma once
// The Host capability of one session: the node as a cell sees it. It tells what the swarm tells,
// and dials within what the operator allows a cell.

#include <kj/function.h>
#include <kj/timer.h>
#include <peer.capnp.h>
#include <ww/base/recycled.h>
#include <ww/net/cell-host.h>
#include <ww/net/swarm.h>

namespace ww {

struct DialPolicy {
  bool allowPrivate = false;     // loopback, private, link-local, multicast addresses and the like
  kj::uint maxPending = 8;       // dials at a time, per holder of a Membrane
  kj::uint maxPerMinute = 60;    // dials begun, likewise
  kj::uint maxAddrs = 32;        // in one call
};

// What the holder of a Membrane has dialled: its sessions, and the cells they start, share it. So
// do all links of one key.
class DialCount final: public kj::Refcounted {
 public:
  // Each refusal is told to `onRefused`, with the limit.
  DialCount(const DialPolicy& policy, kj::Timer& timer, kj::Function<void(kj::uint)> onRefused)
      : policy(policy), timer(timer), onRefused(kj::mv(onRefused)) {}

  // Counts one dial, for as long as the result lives. Throws `overloaded: dials` above the limits.
  kj::Own<void> begin();

  const DialPolicy policy;

 private:
  void refuseAbove(kj::uint count, kj::uint limit, kj::StringPtr what);

  kj::Timer& timer;
  kj::Function<void(kj::uint)> onRefused;
  kj::uint pending = 0;
  kj::uint begun = 0;            // in the current minute
  kj::TimePoint minute = kj::origin<kj::TimePoint>();
};

class HostServer final: public CellHost, public Recycled<HostServer> {
 public:
  // `swarm` outlives it; `executor` is what executor() gives.
  HostServer(Lease& lease, Swarm& swarm, DialCount& dials, peer::Executor::Client executor);

  kj::Promise<void> id(IdContext context) override;
  kj::Promise<void> addrs(AddrsContext context) override;
  kj::Promise<void> peers(PeersContext context) override;
  kj::Promise<void> connect(ConnectContext context) override;
  kj::Promise<void> executor(ExecutorContext context) override;

 private:
  kj::Array<Multiaddr> parseAddrs(capnp::List<capnp::Data>::Reader list) const;

  Swarm& swarm;
  kj::Own<DialCount> dials;
  peer::Executor::Client executorClient;
};

}  // namespace ww
