#include <ww/net/far-host-server.h>

#include <ww/base/error.h>

namespace ww {

peer::Host::Client& FarHostServer::there() {
  KJ_IF_MAYBE(host, reached) return *host;
  return reached.emplace(reach());
}

kj::Promise<void> FarHostServer::id(IdContext context) {
  auto response = co_await inOwnWords(there().idRequest().send());
  context.getResults(capnp::MessageSize{16, 0}).setPeerId(response.getPeerId());
}

kj::Promise<void> FarHostServer::addrs(AddrsContext context) {
  auto response = co_await inOwnWords(there().addrsRequest().send());
  context.getResults().setAddrs(response.getAddrs());
}

kj::Promise<void> FarHostServer::peers(PeersContext context) {
  auto response = co_await inOwnWords(there().peersRequest().send());
  context.getResults().setPeers(response.getPeers());
}

kj::Promise<void> FarHostServer::connect(ConnectContext context) {
  auto params = context.getParams();
  auto request = there().connectRequest(params.totalSize());
  request.setPeerId(params.getPeerId());
  request.setAddrs(params.getAddrs());
  return inOwnWords(request.send().ignoreResult());
}

kj::Promise<void> FarHostServer::executor(ExecutorContext context) {
  context.getResults(capnp::MessageSize{4, 1}).setExecutor(executorClient);
  return kj::READY_NOW;
}

}  // namespace ww
