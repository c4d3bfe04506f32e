#pragma once
// A first cell with its standard streams wired to this process's. Lives on the node's first loop.

#include <ww/node/epoch-images.h>
#include <ww/node/wiring.h>

namespace ww {

class CellPid0 final: public RunningPid0 {
 public:
  // `io` and `logger` outlive it. `tree`: what is the cell's root while it runs, where it has one.
  CellPid0(kj::Own<Cell> cell, kj::LowLevelAsyncIoProvider& io, Logger& logger,
           kj::Maybe<kj::Own<MergedTree>> tree = nullptr);
  ~CellPid0() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(CellPid0);

  kj::Promise<int> onEnd() override { return ended.addBranch(); }
  void end() override { cell->end(EXIT_KILLED); }

  const Cell& getCell() const { return *cell; }

 private:
  kj::Promise<int> run();

  Logger& logger;
  kj::Maybe<kj::Own<MergedTree>> tree;
  kj::Own<Cell> cell;
  Wiring wiring;
  kj::ForkedPromise<int> ended;
};

}  // namespace ww
