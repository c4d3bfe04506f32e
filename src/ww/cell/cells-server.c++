#include <ww/cell/cells-server.h>

#include <ww/base/error.h>
#include <ww/cell/process-server.h>

namespace ww {

kj::Promise<void> CellsServer::list(ListContext context) {
  auto records = view.list();
  auto list = context.getResults().initCells(records.size());
  for (size_t i = 0; i < records.size(); i++) records[i]->describe(list[i]);
  return kj::READY_NOW;
}

kj::Promise<void> CellsServer::find(FindContext context) {
  auto& record = view.get(context.getParams().getId());
  auto results = context.getResults();
  record.describe(results.initInfo());
  KJ_IF_MAYBE(cell, record.cell) {
    results.setProcess(kj::heap<ProcessServer>(*lease, kj::addRef(*cell)));
  }
  return kj::READY_NOW;
}

kj::Promise<void> CellsServer::log(LogContext context) {
  auto params = context.getParams();
  auto& record = view.get(params.getId());
  KJ_IF_MAYBE(log, record.log) {
    context.getResults().setStream(kj::heap<LogServer>(*lease, **log, params.getFollow()));
    return kj::READY_NOW;
  }
  return badInput(kj::str("cell ", record.id, " is not detached: its output goes to whoever "
                          "started it"));
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
