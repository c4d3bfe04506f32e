#include <ww/cell/cells-server.h>

#include <ww/base/error.h>
#include <ww/cell/cell.h>
#include <ww/cell/far-process.h>
#include <ww/cell/process-server.h>

namespace ww {

kj::Promise<void> CellsServer::list(ListContext context) {
  auto records = view.list();
  auto list = context.getResults().initCells(records.size());
  for (size_t i = 0; i < records.size(); i++) records[i]->describe(list[i]);
  return kj::READY_NOW;
}

bool CellsServer::isFar(const CellRecord& record) const {
  KJ_IF_MAYBE(loop, parts.loop) return record.getFacts().loop != loop->getNumber();
  return false;
}

kj::Promise<capnp::Capability::Client> CellsServer::ask(const CellRecord& record,
                                                        CellLoop::Errand errand) {
  return KJ_ASSERT_NONNULL(parts.loop).send(record.getFacts().loop, kj::mv(errand));
}

namespace {

kj::Own<Cell> getRunning(LoopCells& here, uint64_t id) {
  KJ_IF_MAYBE(cell, here.find(id)) return kj::addRef(*cell);
  kj::throwFatalException(badInput(kj::str("cell ", id, " has ended meanwhile")));
}

kj::Own<CellLog> getLog(LoopCells& here, uint64_t id) {
  KJ_IF_MAYBE(log, here.findLog(id)) return kj::addRef(*log);
  kj::throwFatalException(badInput(kj::str("there is no log of cell ", id, " any more")));
}

}  // namespace

kj::Promise<void> CellsServer::find(FindContext context) {
  auto id = context.getParams().getId();
  auto record = view.get(id);
  auto results = context.getResults();
  record->describe(results.initInfo());
  if (!record->isRunning()) co_return;
  if (!isFar(*record)) {
    results.setProcess(kj::heap<ProcessServer>(*lease, getRunning(parts.here, id)));
    co_return;
  }
  auto found = co_await ask(*record, [id, share = lease->share()](CellLoop& there) mutable {
    auto lease = there.getLeases().join(kj::mv(share));
    lease->check();
    return capnp::Capability::Client(peer::Process::Client(
        kj::heap<ProcessServer>(*lease, getRunning(there.parts().here, id))));
  });
  results.setProcess(kj::heap<FarProcess>(*lease, found.castAs<peer::Process>()));
}

kj::Promise<void> CellsServer::log(LogContext context) {
  auto params = context.getParams();
  auto id = params.getId();
  bool follow = params.getFollow();
  auto record = view.get(id);
  if (!record->isDetached()) {
    kj::throwFatalException(badInput(kj::str("cell ", id, " is not detached: its output goes to "
                                             "whoever started it")));
  }
  auto results = context.getResults();
  if (!isFar(*record)) {
    results.setStream(kj::heap<LogServer>(*lease, *getLog(parts.here, id), follow));
    co_return;
  }
  auto found = co_await ask(*record, [id, follow, share = lease->share()](CellLoop& there) mutable {
    auto lease = there.getLeases().join(kj::mv(share));
    lease->check();
    return capnp::Capability::Client(peer::ByteStream::Client(
        kj::heap<LogServer>(*lease, *getLog(there.parts().here, id), follow)));
  });
  results.setStream(kj::heap<FarStream>(*lease, found.castAs<peer::ByteStream>()));
}

kj::Promise<void> LogServer::read(ReadContext context) {
  auto size = kj::min(context.getParams().getMaxBytes(), MAX_READ_BYTES);
  bool waits = size > 0 && follow;
  while (waits && !closed && !log->hasMore(position) && !log->isAtEnd(position)) {
    co_await log->onMore().exclusiveJoin(onClosed.addBranch());
  }
  kj::Array<kj::byte> piece;
  if (!closed) piece = log->take(position, size);
  context.getResults(capnp::MessageSize{4 + piece.size() / sizeof(capnp::word), 0})
      .setData(piece);
}

kj::Promise<void> LogServer::write(WriteContext) {
  return badInput("write: a log can only be read from");
}

kj::Promise<void> LogServer::close(CloseContext) {
  closed = true;
  closing->fulfill();
  return kj::READY_NOW;
}

}  // namespace ww
