#include <ww/cli/run.h>

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/debug.h>
#include <signal.h>
#include <stdlib.h>
#include <ww/base/error.h>
#include <ww/cli/default-image.h>
#include <ww/cli/stderr-logger.h>
#include <ww/net/identity.h>
#include <ww/node/directory-store.h>
#include <ww/node/identity-file.h>
#include <ww/node/image-file.h>
#include <ww/node/node.h>
#include <ww/node/stdio.h>

namespace ww {
namespace {

constexpr uint64_t MAX_CODE_BYTES = uint64_t(1) << 30;

kj::String defaultDataDir() {
  auto xdg = getenv("XDG_DATA_HOME");
  if (xdg != nullptr && xdg[0] == '/') return kj::str(xdg, "/ww");
  auto home = getenv("HOME");
  if (home != nullptr && home[0] == '/') return kj::str(home, "/.local/share/ww");
  kj::throwFatalException(badInput("no home folder is known; name a folder with --data-dir"));
}

// pid0's standard streams, wired to the process's.
class Wiring {
 public:
  Wiring(kj::LowLevelAsyncIoProvider& io, Cell& cell, Logger& logger)
      : logger(logger), in(openStdin(io)), out(openStdout(io)), err(openStderr(io)),
        cellIn(cell.getStdin().takeStream()), cellOut(cell.getStdout().takeStream()),
        cellErr(cell.getStderr().takeStream()),
        input(copyInput().eagerlyEvaluate(nullptr)),
        output(copyOutput("stdout", *cellOut, *out).eagerlyEvaluate(nullptr)),
        errors(copyOutput("stderr", *cellErr, *err).eagerlyEvaluate(nullptr)) {}
  KJ_DISALLOW_COPY_AND_MOVE(Wiring);

  // Resolves when all that pid0 wrote has been passed on, or nobody takes it any more.
  kj::Promise<void> drain() {
    co_await output;
    co_await errors;
  }

 private:
  Logger& logger;
  kj::Own<kj::AsyncInputStream> in;
  kj::Own<kj::AsyncOutputStream> out, err;
  kj::Own<ffi::PipeStream> cellIn, cellOut, cellErr;
  kj::Promise<void> input, output, errors;

  kj::Promise<void> copyInput() {
    return copyStream(*in, *cellIn).ignoreResult().catch_([](kj::Exception&&) {
      // pid0 no longer reads.
    }).then([this]() { cellIn->shutdownWrite(); });
  }

  kj::Promise<void> copyOutput(kj::StringPtr name, ffi::PipeStream& from,
                               kj::AsyncOutputStream& to) {
    return copyStream(from, to).ignoreResult().catch_([this, name, &from](kj::Exception&& e) {
      // pid0's next write finds a closed stream. A reader that left is no news: see head(1).
      from.abortRead();
      if (e.getType() == kj::Exception::Type::DISCONNECTED) return;
      logger.log(LogLevel::ERROR, "what the image writes is lost",
                 {{"stream", kj::str(name)}, {"cause", kj::str(e.getDescription())}});
    });
  }
};

kj::Promise<int> untilSignal(kj::UnixEventPort& port, int signal) {
  return port.onSignal(signal).then([signal](siginfo_t&&) { return signal; });
}

kj::Promise<void> advanceOnSignal(kj::UnixEventPort& port, ManualHeadSource& heads) {
  for (;;) {
    co_await port.onSignal(SIGUSR1);
    heads.advance();
  }
}

// One run of one node.
class Run {
 public:
  Run(const RunOptions& options, Logger& logger, kj::AsyncIoContext& io)
      : options(options), logger(logger), io(io),
        dataDir(options.dataDir == nullptr
            ? defaultDataDir() : kj::str(KJ_ASSERT_NONNULL(options.dataDir))),
        swarm(loadOrMakeIdentity(dataDir).getPeerId().clone()),
        node(nodeOptions(options), io.provider->getTimer(), io.waitScope, heads, swarm, logger,
             openCodeStore()) {}

  kj::Promise<int> run(kj::Array<const kj::byte> wasm) {
    auto advancing = options.advanceOnSignal
        ? advanceOnSignal(io.unixEventPort, manualHeads).eagerlyEvaluate(nullptr)
        : kj::Promise<void>(kj::NEVER_DONE);
    auto signal = untilSignal(io.unixEventPort, SIGINT)
        .exclusiveJoin(untilSignal(io.unixEventPort, SIGTERM)).fork();
    logger.log(LogLevel::INFO, "no network: this node neither listens nor dials",
               {{"peer", swarm.getPeerId().toText()}});
    auto exit = runCell(kj::mv(wasm));
    co_return co_await exit.exclusiveJoin(signal.addBranch().then([](int number) {
      return EXIT_SIGNAL_BASE + number;
    }));
  }

 private:
  const RunOptions& options;
  Logger& logger;
  kj::AsyncIoContext& io;
  const kj::String dataDir;
  ManualHeadSource manualHeads;  // moves only where the options say so
  HeadSource& heads = manualHeads;
  NoNetwork swarm;
  Node node;

  static NodeOptions nodeOptions(const RunOptions& options) {
    NodeOptions result;
    result.engine.debugInfo = options.wasmDebug;
    return result;
  }

  kj::Maybe<kj::Own<Store>> openCodeStore() {
    return kj::Own<Store>(kj::heap<DirectoryStore>(kj::str(dataDir, "/code"), MAX_CODE_BYTES));
  }

  kj::Promise<int> runCell(kj::Array<const kj::byte> wasm) {
    auto args = KJ_MAP(arg, options.args) { return kj::str(arg); };
    auto env = KJ_MAP(variable, options.env) { return kj::str(variable); };
    auto cell = co_await node.boot(kj::mv(wasm), kj::mv(args), kj::mv(env));
    Wiring wiring(*io.lowLevelProvider, *cell, logger);
    auto code = co_await cell->wait();
    co_await wiring.drain();
    co_return code;
  }
};

int complain(Logger& logger, int code, kj::StringPtr event, kj::StringPtr cause) {
  logger.log(LogLevel::ERROR, event, {{"cause", kj::str(cause)}});
  return code;
}

int runImage(const RunOptions& options, Logger& logger, kj::Array<const kj::byte> wasm) {
  int code = EXIT_NODE_FAILED;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    kj::UnixEventPort::setReservedSignal(SIGUSR2);  // KJ takes SIGUSR1 otherwise
    kj::UnixEventPort::captureSignal(SIGINT);
    kj::UnixEventPort::captureSignal(SIGTERM);
    if (options.advanceOnSignal) kj::UnixEventPort::captureSignal(SIGUSR1);
    auto io = kj::setupAsyncIo();
    // What a node's end leaves to the loop's next turn, links among it, needs a loop to end in.
    KJ_DEFER(io.waitScope.poll());
    Run run(options, logger, io);
    code = run.run(kj::mv(wasm)).wait(io.waitScope);
  })) {
    if (ffi::isComponentProblem(*exception)) {
      auto image = options.image.map([](const kj::String& path) -> kj::StringPtr { return path; });
      return complain(logger, EXIT_NOT_RUNNABLE,
                      kj::str("the image cannot be run: ", image.orDefault("the default image")),
                      exception->getDescription());
    }
    return complain(logger, EXIT_NODE_FAILED, "the node failed", exception->getDescription());
  }
  return code;
}

}  // namespace

int run(const RunOptions& options) {
  StderrLogger logger(KJ_ASSERT_NONNULL(findLogLevel(options.logLevel)),
                      options.logFormat == "json" ? LogFormat::JSON : LogFormat::TEXT);
  KJ_IF_MAYBE(path, options.image) {
    auto image = readImage(*path);
    KJ_IF_MAYBE(none, image.tryGet<NoImage>()) {
      return complain(logger, EXIT_NO_IMAGE, "there is no such image", none->problem);
    }
    return runImage(options, logger, kj::mv(image.get<kj::Array<kj::byte>>()));
  }
  return runImage(options, logger, kj::heapArray<const kj::byte>(defaultImage()));
}

}  // namespace ww
