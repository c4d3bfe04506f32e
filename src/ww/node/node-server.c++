#include <ww/node/node-server.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/cell/cells-server.h>

namespace ww {

kj::Promise<void> NodeServer::cells(CellsContext context) {
  context.getResults(capnp::MessageSize{4, 1})
      .setCells(kj::heap<CellsServer>(*lease, CellView::ofAll(cellList)));
  return kj::READY_NOW;
}

kj::Promise<void> NodeServer::sessions(SessionsContext context) {
  sessionList->describe(context.getResults().initSessions(sessionList->size()));
  return kj::READY_NOW;
}

kj::Promise<void> NodeServer::ping(PingContext context) {
  auto bytes = context.getParams().getPeerId();
  auto parsed = PeerId::parse(bytes);
  if (parsed == nullptr) {
    kj::throwFatalException(
        badInput(kj::str("ping: peerId is no peer id (", bytes.size(), " bytes)")));
  }
  auto& id = KJ_ASSERT_NONNULL(parsed);
  if (!swarm.isConnected(id)) {
    kj::throwFatalException(badInput(kj::str("ping: no connection to ", id.toText())));
  }
  auto time = co_await swarm.ping(id);
  context.getResults(capnp::MessageSize{4, 0}).setRoundTripNs(time / kj::NANOSECONDS);
}

}  // namespace ww
