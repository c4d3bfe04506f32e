#include <ww/cli/exec.h>

#include <kj/async-unix.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <signal.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/cli/data-dir.h>
#include <ww/cli/default-image.h>
#include <ww/cli/line-editor.h>
#include <ww/cli/run.h>
#include <ww/cli/stderr-logger.h>
#include <ww/cli/table.h>
#include <ww/cli/target.h>
#include <ww/node/identity-file.h>
#include <ww/node/image-file.h>
#include <ww/node/image-import.h>
#include <ww/node/node.h>
#include <ww/node/remote-run.h>

namespace ww {
namespace {

kj::Maybe<LineHistory> openHistory(const ExecOptions& options, Logger& logger) {
  kj::Maybe<LineHistory> history;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    history.emplace(dataDir(options.dataDir));
  })) {
    logger.log(LogLevel::WARNING, "what is typed is not kept",
               {{"cause", kj::str(exception->getDescription())}});
  }
  return history;
}

bool wantsEditor(const ExecOptions& options) {
  return options.component == nullptr && !options.detach && LineEditor::isPossible();
}

kj::Promise<void> untilInterrupted(kj::UnixEventPort& port) {
  return port.onSignal(SIGINT).exclusiveJoin(port.onSignal(SIGTERM)).ignoreResult();
}

// What an interruption ends that the node has no part in.
template <typename T>
kj::Promise<T> orInterrupted(kj::UnixEventPort& port, kj::Promise<T> promise, kj::StringPtr what) {
  return promise.exclusiveJoin(untilInterrupted(port).then([what]() -> kj::Promise<T> {
    return badInput(what);
  }));
}

kj::Promise<int> runOn(kj::AsyncIoContext& io, const ExecOptions& options, bool edit,
                       kj::Array<const kj::byte> wasm, Logger& logger, bool& reached) {
  auto& port = io.unixEventPort;
  auto client = co_await orInterrupted(port, connectTo(io, options, logger),
                                       "interrupted before the node was reached");
  reached = true;
  auto& timer = io.provider->getTimer();
  RemoteRunOptions run;
  run.wasm = kj::mv(wasm);
  run.timeout = options.timeout;
  run.args = KJ_MAP(arg, options.args) { return kj::str(arg); };
  run.env = KJ_MAP(variable, options.env) { return kj::str(variable); };
  if (options.detach) {
    auto id = co_await orInterrupted(port, runDetached(*client, timer, kj::mv(run)),
                                     "interrupted before the component was left to the node");
    auto line = options.json ? kj::str(JsonObject().add("cell", id).toText(), "\n")
                             : kj::str(id, "\n");
    co_return print(line) ? 0 : EXIT_NODE_FAILED;
  }
  // The first asks the node to end the component; the next does not wait for it.
  auto killed = untilInterrupted(port).fork();
  auto again = killed.addBranch().then([&port]() {
    return orInterrupted(port, kj::Promise<int32_t>(kj::NEVER_DONE),
                         "interrupted twice: the node was asked to end it, and what it had still "
                         "to say was not waited for");
  });
  kj::Maybe<LineEditor> editor;
  if (edit) editor.emplace(io, openHistory(options, logger), logger);
  auto streams = editor.map([&](LineEditor& e) { return e.makeStreams(*io.lowLevelProvider); })
      .orDefault([&]() { return openStandardStreams(*io.lowLevelProvider); });
  auto running =
      runRemotely(*client, timer, kj::mv(run), kj::mv(streams), killed.addBranch());
  co_return co_await running.exclusiveJoin(kj::mv(again));
}

bool isContent(kj::StringPtr component) {
  bool result = true;  // also what begins like it, and is none
  kj::runCatchingExceptions([&]() { result = !parseImageRef(component).is<PathRef>(); });
  return result;
}

kj::OneOf<kj::Array<const kj::byte>, NoImage> componentOf(const ExecOptions& options) {
  KJ_IF_MAYBE(path, options.component) {
    if (isContent(*path)) {
      return NoImage{kj::str(*path, ": `ww exec` takes a component that is on this machine, a "
          ".wasm file or a folder with main.wasm; content and .car files are for `ww run`")};
    }
    auto image = readImage(*path);
    KJ_IF_MAYBE(none, image.tryGet<NoImage>()) return kj::mv(*none);
    return kj::Array<const kj::byte>(kj::mv(image.get<kj::Array<kj::byte>>()));
  }
  return kj::heapArray<const kj::byte>(shellImage());
}

}  // namespace

int exec(const ExecOptions& options) {
  StderrLogger logger(KJ_ASSERT_NONNULL(findLogLevel(options.logLevel)),
                      options.logFormat == "json" ? LogFormat::JSON : LogFormat::TEXT);
  KjLogs kjLogs(logger);
  auto component = componentOf(options);
  KJ_IF_MAYBE(none, component.tryGet<NoImage>()) {
    return complain(logger, EXIT_NO_IMAGE, "the component cannot be had", none->problem);
  }
  int code = EXIT_NODE_FAILED;
  bool reached = false;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    kj::UnixEventPort::setReservedSignal(SIGUSR2);
    kj::UnixEventPort::captureSignal(SIGINT);
    kj::UnixEventPort::captureSignal(SIGTERM);
    bool edit = wantsEditor(options);
    if (edit) LineEditor::captureSignals();
    auto io = kj::setupAsyncIo();
    KJ_DEFER(io.waitScope.poll());
    auto& wasm = component.get<kj::Array<const kj::byte>>();
    code = runOn(io, options, edit, kj::mv(wasm), logger, reached).wait(io.waitScope);
  })) {
    kj::Exception told(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                       kj::str(reasonOf(*exception)));
    KJ_IF_MAYBE(componentCode, findExitCode(told)) {
      return complain(logger, *componentCode, "the component cannot be run", reasonOf(*exception));
    }
    return complain(logger, EXIT_NODE_FAILED,
                    reached ? "the component was not run to its end"_kj
                            : "the node was not reached"_kj,
                    explain(*exception));
  }
  return code;
}

int keygen(const KeygenOptions& options) {
  int code = EXIT_NODE_FAILED;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    auto peerId = makeIdentityFile(options.file).getPeerId().toText();
    auto line = options.json
        ? kj::str(JsonObject().add("peerId", peerId).add("file", options.file).toText(), "\n")
        : kj::str(peerId, "\n");
    if (print(line)) code = 0;
  })) {
    auto line = kj::str(exception->getDescription(), "\n");
    kj::FdOutputStream(STDERR_FILENO).write(line.begin(), line.size());
  }
  return code;
}

}  // namespace ww
