#include <ww/node/cell-pid0.h>

namespace ww {

CellPid0::CellPid0(kj::Own<Cell> cellParam, kj::LowLevelAsyncIoProvider& io, Logger& logger,
                   kj::Maybe<kj::Own<MergedTree>> tree)
    : logger(logger), tree(kj::mv(tree)), cell(kj::mv(cellParam)), wiring(io, *cell, logger),
      ended(run().fork()) {}

CellPid0::~CellPid0() noexcept(false) { cell->end(EXIT_KILLED); }

kj::Promise<int> CellPid0::run() {
  auto code = co_await cell->wait();
  co_await wiring.drain();
  KJ_IF_MAYBE(cause, cell->findTrapCause()) {
    logger.log(LogLevel::ERROR, "the image trapped", {{"cause", kj::str(*cause)}});
  }
  co_return code;
}

}  // namespace ww
