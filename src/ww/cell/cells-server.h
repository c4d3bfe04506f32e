#pragma once
// The Cells capability: a view of the node's cells, on whichever loops, for one session.

#include <peer.capnp.h>
#include <ww/cell/cell-list.h>
#include <ww/cell/cell-loop.h>
#include <ww/epoch/session-bound.h>

namespace ww {

class CellsServer final: public SessionBound<peer::Cells> {
 public:
  CellsServer(Lease& lease, CellParts parts, CellView view)
      : SessionBound(lease), parts(parts), view(view) {}

  kj::Promise<void> list(ListContext context) override;
  kj::Promise<void> find(FindContext context) override;
  kj::Promise<void> log(LogContext context) override;

 private:
  bool isFar(const CellRecord& record) const;
  kj::Promise<capnp::Capability::Client> ask(const CellRecord& record, CellLoop::Errand errand);

  CellParts parts;
  CellView view;
};

// A log, from its oldest byte on.
class LogServer final: public SessionBound<peer::ByteStream> {
 public:
  // With `follow`, to the cell's end; else to the end of what is there now.
  LogServer(Lease& lease, CellLog& log, bool follow)
      : LogServer(lease, log, follow, kj::newPromiseAndFulfiller<void>()) {}

  kj::Promise<void> read(ReadContext context) override;
  kj::Promise<void> write(WriteContext context) override;
  kj::Promise<void> close(CloseContext context) override;

 private:
  kj::Own<CellLog> log;
  const bool follow;
  uint64_t position;
  bool closed = false;
  kj::Own<kj::PromiseFulfiller<void>> closing;
  kj::ForkedPromise<void> onClosed;

  LogServer(Lease& lease, CellLog& log, bool follow, kj::PromiseFulfillerPair<void> paf)
      : SessionBound(lease), log(kj::addRef(log)), follow(follow), position(log.begin()),
        closing(kj::mv(paf.fulfiller)), onClosed(paf.promise.fork()) {}
};

}  // namespace ww
