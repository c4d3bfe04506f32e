#pragma once
// A cell's standard streams, wired straight through to this process's: what it writes appears
// there, and it reads what is there. Bytes are moved as they come, with back-pressure both ways.
//
// The process's input is left alone until the cell looks for some: a cell that never reads stdin
// takes nothing from whoever shares it, and is not stopped in the background of a terminal.

#include <kj/async-io.h>
#include <ww/base/log.h>
#include <ww/cell/cell.h>

namespace ww {

class Wiring final {
 public:
  // Takes the cell's streams. `logger` outlives it, and `io`.
  Wiring(kj::LowLevelAsyncIoProvider& io, Cell& cell, Logger& logger);
  KJ_DISALLOW_COPY_AND_MOVE(Wiring);

  // Resolves when all that the cell wrote has been passed on, or nobody takes it any more.
  kj::Promise<void> drain();

 private:
  kj::Promise<void> copyInput();
  kj::Promise<void> copyOutput(kj::StringPtr name, ffi::PipeStream& from,
                               kj::AsyncOutputStream& to);

  Logger& logger;
  kj::Own<kj::AsyncInputStream> in;
  kj::Own<kj::AsyncOutputStream> out, err;
  kj::Own<ffi::PipeStream> cellIn, cellOut, cellErr;
  kj::Promise<void> input, output, errors;
};

}  // namespace ww
