#include <ww/node/wiring.h>

#include <ww/base/error.h>
#include <ww/node/stdio.h>

namespace ww {

Wiring::Wiring(kj::LowLevelAsyncIoProvider& io, Cell& cell, Logger& logger)
    : logger(logger), in(openStdin(io)), out(openStdout(io)), err(openStderr(io)),
      cellIn(cell.getStdin().takeStream()), cellOut(cell.getStdout().takeStream()),
      cellErr(cell.getStderr().takeStream()), input(copyInput().eagerlyEvaluate(nullptr)),
      output(copyOutput("stdout", *cellOut, *out).eagerlyEvaluate(nullptr)),
      errors(copyOutput("stderr", *cellErr, *err).eagerlyEvaluate(nullptr)) {}

kj::Promise<void> Wiring::drain() {
  co_await output;
  co_await errors;
}

kj::Promise<void> Wiring::copyInput() {
  return cellIn->onWanted().then([this]() {
    return copyStream(*in, *cellIn);
  }).ignoreResult().catch_([this](kj::Exception&& e) {
    if (e.getType() == kj::Exception::Type::DISCONNECTED) return;  // the cell no longer reads
    logger.log(LogLevel::ERROR, "the image's input cannot be read; it gets the end of it",
               {{"cause", systemReason(e)}});
  }).then([this]() { cellIn->shutdownWrite(); });
}

kj::Promise<void> Wiring::copyOutput(kj::StringPtr name, ffi::PipeStream& from,
                                     kj::AsyncOutputStream& to) {
  return copyStream(from, to).ignoreResult().catch_([this, name, &from](kj::Exception&& e) {
    // The cell's next write finds a closed stream. A reader that left is no news: see head(1).
    from.abortRead();
    if (e.getType() == kj::Exception::Type::DISCONNECTED) return;
    logger.log(LogLevel::ERROR, "what the image writes is lost",
               {{"stream", kj::str(name)}, {"cause", systemReason(e)}});
  });
}

}  // namespace ww
