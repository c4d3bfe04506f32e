#include <ww/cli/exec.h>

#include <kj/async-unix.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <signal.h>
#include <unistd.h>
#include <ww/base/text.h>
#include <ww/cli/data-dir.h>
#include <ww/cli/default-image.h>
#include <ww/cli/run.h>
#include <ww/cli/stderr-logger.h>
#include <ww/node/client.h>
#include <ww/node/identity-file.h>
#include <ww/node/image-file.h>
#include <ww/node/remote-run.h>

namespace ww {
namespace {

constexpr kj::StringPtr REMOTE_PREFIX = "remote exception: "_kj;
constexpr kj::StringPtr UNAUTHORIZED = "unauthorized: "_kj;

int complain(Logger& logger, int code, kj::StringPtr event, kj::StringPtr cause) {
  logger.log(LogLevel::ERROR, event, {{"cause", kj::str(cause)}});
  return code;
}

Identity identityOf(const ExecOptions& options) {
  KJ_IF_MAYBE(path, options.identity) return readIdentity(*path);
  return loadOrMakeIdentity(dataDir(options.dataDir));
}

kj::Promise<int> runOn(kj::AsyncIoContext& io, const ExecOptions& options,
                       kj::Array<const kj::byte> wasm, Logger& logger) {
  ClientOptions target;
  target.timeout = options.timeout;
  KJ_IF_MAYBE(on, options.on) target.target = kj::str(*on);
  else target.target = dataDir(options.dataDir);
  // Without a home there is no local node to ask.
  kj::runCatchingExceptions([&]() { target.local = dataDir(options.dataDir); });
  auto client = co_await connectToNode(io, kj::mv(target),
                                       [&options]() { return identityOf(options); }, logger);
  RemoteRunOptions run;
  run.wasm = kj::mv(wasm);
  run.args = KJ_MAP(arg, options.args) { return kj::str(arg); };
  run.env = KJ_MAP(variable, options.env) { return kj::str(variable); };
  auto kill = io.unixEventPort.onSignal(SIGINT).ignoreResult();
  co_return co_await runRemotely(*io.lowLevelProvider, *client, kj::mv(run), kj::mv(kill), logger);
}

kj::String explain(const kj::Exception& exception) {
  auto reason = exception.getDescription();
  if (reason.startsWith(REMOTE_PREFIX)) reason = reason.slice(REMOTE_PREFIX.size());
  if (!reason.startsWith(UNAUTHORIZED)) return kj::str(reason);
  return kj::str(reason, "; the node's operator allows keys with --allow KEY; `ww keygen` prints "
                         "one, and --identity FILE says which to use");
}

kj::OneOf<kj::Array<const kj::byte>, NoImage> componentOf(const ExecOptions& options) {
  KJ_IF_MAYBE(path, options.component) {
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
    return complain(logger, EXIT_NO_IMAGE, "there is no such component", none->problem);
  }
  int code = EXIT_NODE_FAILED;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    kj::UnixEventPort::setReservedSignal(SIGUSR2);
    kj::UnixEventPort::captureSignal(SIGINT);
    auto io = kj::setupAsyncIo();
    KJ_DEFER(io.waitScope.poll());
    code = runOn(io, options, kj::mv(component.get<kj::Array<const kj::byte>>()), logger)
        .wait(io.waitScope);
  })) {
    return complain(logger, EXIT_NODE_FAILED, "the component was not run to its end",
                    explain(*exception));
  }
  return code;
}

int keygen(const KeygenOptions& options) {
  int code = EXIT_NODE_FAILED;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    auto peerId = makeIdentityFile(options.file).getPeerId().toText();
    auto line = options.json
        ? kj::str("{\"peerId\":\"", peerId, "\",\"file\":", quoteJson(options.file), "}\n")
        : kj::str(peerId, "\n");
    kj::FdOutputStream(STDOUT_FILENO).write(line.begin(), line.size());
    code = 0;
  })) {
    auto line = kj::str(exception->getDescription(), "\n");
    kj::FdOutputStream(STDERR_FILENO).write(line.begin(), line.size());
  }
  return code;
}

}  // namespace ww
