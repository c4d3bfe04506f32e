#pragma once
// What cells run on, for all inputs of a fuzz target.

#include <kj/async-io.h>
#include <kj/filesystem.h>
#include <ww/cell/cell-builder.h>
#include <ww/epoch/head-watch.h>
#include <ww/ffi/caching-compiler.h>
#include <ww/ffi/engine.h>

namespace ww {

inline kj::Array<const kj::byte> readFile(kj::StringPtr path) {
  auto disk = kj::newDiskFilesystem();
  return disk->getRoot().openFile(disk->getCurrentPath().eval(path))->readAllBytes();
}

struct CellHost {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::WaitScope& waitScope = io.waitScope;
  kj::Timer& timer = io.provider->getTimer();
  MemoryLogger logger;
  ffi::Engine engine{{}, timer, waitScope};
  ffi::ThreadCompiler threads{engine};
  ffi::CachingCompiler compiler{threads};
  const CellList list{kj::systemPreciseCalendarClock()};
  LoopCells here{list};
  LineQuota lines{logger, timer};
  LimitHits hits{lines};
  ManualHeadSource source;
  HeadWatch heads{source};
  kj::Promise<void> following = heads.follow().eagerlyEvaluate(nullptr);

  CellParts parts(Limits limits = {}) {
    return {engine, compiler, timer, lines, list, here, hits, limits};
  }

  // Once all that an input started is to be gone.
  void settle() {
    while (engine.guestCount() > 0) waitScope.poll(1);
    waitScope.poll();
    logger.clear();
  }
};

}  // namespace ww
