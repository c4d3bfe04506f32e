#include <ww/cli/target.h>

#include <kj/io.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/cli/data-dir.h>
#include <ww/node/identity-file.h>

namespace ww {
namespace {

constexpr kj::StringPtr REMOTE_PREFIX = "remote exception: "_kj;
constexpr kj::StringPtr UNAUTHORIZED = "unauthorized: "_kj;
constexpr kj::StringPtr NO_SUCH_CELL = "there is no cell "_kj;

// How the reason goes on where the chain took back what was final: no key helps.
constexpr kj::StringPtr TAKEN_BACK = "unauthorized: reorg-too-deep: "_kj;

Identity identityOf(const TargetOptions& options) {
  KJ_IF_MAYBE(path, options.identity) return readIdentity(*path);
  return loadOrMakeIdentity(dataDir(options.dataDir));
}

}  // namespace

kj::Promise<kj::Own<NodeClient>> connectTo(kj::AsyncIoContext& io, const TargetOptions& options,
                                           Logger& logger, kj::Maybe<OfferedImages> offered) {
  ClientOptions target;
  if (offered != nullptr) target.option = "--to"_kj;
  target.offered = kj::mv(offered);
  target.timeout = options.timeout;
  KJ_IF_MAYBE(on, options.on) target.target = kj::str(*on);
  else target.target = dataDir(options.dataDir);
  // Without a home there is no local node to ask.
  kj::runCatchingExceptions([&]() { target.local = dataDir(options.dataDir); });
  auto client = co_await connectToNode(io, kj::mv(target),
                                       [&options]() { return identityOf(options); }, logger);
  logger.log(LogLevel::DEBUG, "linked to the node");
  co_return kj::mv(client);
}

kj::StringPtr reasonOf(const kj::Exception& exception) {
  auto reason = exception.getDescription();
  return reason.startsWith(REMOTE_PREFIX) ? reason.slice(REMOTE_PREFIX.size()) : reason;
}

kj::String explain(const kj::Exception& exception) {
  auto reason = reasonOf(exception);
  if (reason.startsWith(TAKEN_BACK)) {
    return kj::str(reason, "; find out what became of the chain, end the node, and start it with "
                           "the same command and, this once, --forget-epoch");
  }
  if (reason.startsWith(NO_SUCH_CELL)) {
    return kj::str(reason, "; `ww ps` lists those that there are");
  }
  if (!reason.startsWith(UNAUTHORIZED)) return kj::str(reason);
  return kj::str(reason, "; the node's operator allows keys with --allow KEY; `ww keygen` prints "
                         "one, and --identity FILE says which to use");
}

bool print(kj::StringPtr text) {
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    kj::FdOutputStream(STDOUT_FILENO).write(text.begin(), text.size());
  })) {
    auto line = kj::str("stdout: ", systemReason(*exception), "\n");
    kj::runCatchingExceptions([&]() {
      kj::FdOutputStream(STDERR_FILENO).write(line.begin(), line.size());
    });
    return false;
  }
  return true;
}

}  // namespace ww
