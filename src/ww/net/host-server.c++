#include <ww/net/host-server.h>

#include <kj/debug.h>
#include <ww/base/error.h>

namespace ww {
namespace {

constexpr kj::Duration MINUTE = 60 * kj::SECONDS;

template <typename Builder>
void setAddrs(Builder list, kj::ArrayPtr<const Multiaddr> addrs) {
  for (size_t i = 0; i < addrs.size(); i++) list.set(i, addrs[i].asBytes());
}

}  // namespace

void DialCount::refuseAbove(kj::uint count, kj::uint limit, kj::StringPtr what) {
  if (count < limit) return;
  onRefused(limit);
  kj::throwFatalException(overloaded(kj::str("dials: ", count, ' ', what)));
}

kj::Own<void> DialCount::begin() {
  auto now = timer.now();
  if (now - minute >= MINUTE) {
    minute = now;
    begun = 0;
  }
  refuseAbove(pending, policy.maxPending, "are pending");
  refuseAbove(begun, policy.maxPerMinute, "in this minute");
  ++pending;
  ++begun;
  return kj::heap(kj::defer([self = kj::addRef(*this)]() mutable { --self->pending; }));
}

HostServer::HostServer(Lease& lease, Swarm& swarm, DialCount& dials,
                       peer::Executor::Client executor)
    : CellHost(lease),
      swarm(swarm),
      dials(kj::addRef(dials)),
      executorClient(kj::mv(executor)) {}

kj::Promise<void> HostServer::id(IdContext context) {
  context.getResults(capnp::MessageSize{16, 0}).setPeerId(swarm.getPeerId().asBytes());
  return kj::READY_NOW;
}

kj::Promise<void> HostServer::addrs(AddrsContext context) {
  auto addrs = swarm.getListenAddrs();
  setAddrs(context.getResults().initAddrs(addrs.size()), addrs);
  return kj::READY_NOW;
}

kj::Promise<void> HostServer::peers(PeersContext context) {
  auto peers = swarm.getPeers();
  auto list = context.getResults().initPeers(peers.size());
  for (size_t i = 0; i < peers.size(); i++) {
    list[i].setPeerId(peers[i].id.asBytes());
    setAddrs(list[i].initAddrs(peers[i].addrs.size()), peers[i].addrs);
  }
  return kj::READY_NOW;
}

kj::Array<Multiaddr> HostServer::parseAddrs(capnp::List<capnp::Data>::Reader list) const {
  if (list.size() > dials->policy.maxAddrs) {
    kj::throwFatalException(overloaded(
        kj::str("addrs: ", list.size(), " in one call; the limit is ", dials->policy.maxAddrs)));
  }
  auto addrs = kj::heapArrayBuilder<Multiaddr>(list.size());
  for (kj::uint i = 0; i < list.size(); i++) {
    auto parsed = Multiaddr::parse(list[i]);
    KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) {
      kj::throwFatalException(
          badInput(kj::str("connect: addrs[", i, "] is no multiaddr: ", *problem)));
    }
    addrs.add(kj::mv(parsed.get<Multiaddr>()));
  }
  return addrs.finish();
}

kj::Promise<void> HostServer::connect(ConnectContext context) {
  auto params = context.getParams();
  auto parsed = PeerId::parse(params.getPeerId());
  if (parsed == nullptr) {
    return badInput(
        kj::str("connect: peerId is no peer id (", params.getPeerId().size(), " bytes)"));
  }
  auto& id = KJ_ASSERT_NONNULL(parsed);
  auto addrs = parseAddrs(params.getAddrs());
  if (swarm.isConnected(id)) return kj::READY_NOW;
  if (!dials->policy.allowPrivate) {
    for (size_t i = 0; i < addrs.size(); i++) {
      KJ_IF_MAYBE(range, addrs[i].findPrivateRange()) {
        return denied(kj::str("connect: addrs[", i, "] (", addrs[i].toText(),
                              ") is not public but ", *range, ": a cell may not dial it"));
      }
    }
  }
  auto count = dials->begin();
  lease->check();
  auto scope = dials->policy.allowPrivate ? DialScope::ANYWHERE : DialScope::PUBLIC;
  return swarm.connect(id, addrs, scope).attach(kj::mv(count));
}

kj::Promise<void> HostServer::executor(ExecutorContext context) {
  context.getResults(capnp::MessageSize{4, 1}).setExecutor(executorClient);
  return kj::READY_NOW;
}

}  // namespace ww
