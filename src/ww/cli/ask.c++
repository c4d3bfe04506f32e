#include <ww/cli/ask.h>

#include <kj/async-unix.h>
#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/cli/run.h>
#include <ww/cli/show-epoch.h>
#include <ww/cli/show.h>
#include <ww/cli/stderr-logger.h>
#include <ww/cli/target.h>
#include <ww/node/names.h>
#include <ww/node/stdio.h>

namespace ww {
namespace {

using What = AskOptions::What;
using Extension = membrane::WetwareSession::Reader;

constexpr uint32_t READ_BYTES = 64 * 1024;

// One question, within a session.
class Ask {
 public:
  Ask(const AskOptions& options, kj::LowLevelAsyncIoProvider& io, Extension session)
      : options(options), io(io), session(session) {}

  kj::Promise<void> run() {
    switch (options.what) {
      case What::PS: return ps();
      case What::KILL: return kill();
      case What::LOGS: return logs();
      case What::INSPECT: return inspect();
      case What::CAPS: return caps();
      case What::EPOCH: return epoch();
      case What::PEER_ID: return peerId();
      case What::PEER_LS: return peerLs();
      case What::PEER_CONNECT: return peerConnect();
      case What::PEER_PING: return peerPing();
    }
    KJ_UNREACHABLE;
  }

 private:
  const AskOptions& options;
  kj::LowLevelAsyncIoProvider& io;
  Extension session;

  // All of the node's, where that is ours to see.
  peer::Cells::Client cells() {
    if (session.hasNode()) return session.getNode().cellsRequest().send().getCells();
    return session.getExecutor().cellsRequest().send().getCells();
  }

  node::Node::Client getNode() {
    if (session.hasNode()) return session.getNode();
    kj::throwFatalException(denied("this takes the right to the node itself; its operator gives "
                                   "it with --allow KEY,node"));
  }

  auto find() {
    auto request = cells().findRequest();
    request.setId(options.cell);
    return request.send();
  }

  // False, quietly, once nobody reads it any more: `ww logs 7 | head`.
  static kj::Promise<bool> write(kj::AsyncOutputStream& out, kj::ArrayPtr<const kj::byte> bytes) {
    return out.write(bytes.begin(), bytes.size()).then([]() { return true; },
                                                       [](kj::Exception&& e) {
      if (e.getType() == kj::Exception::Type::DISCONNECTED) return false;
      kj::throwFatalException(badInput(kj::str("stdout: ", systemReason(e))));
    });
  }

  void show(kj::StringPtr text) {
    if (!print(text)) kj::throwFatalException(badInput("what was asked could not be printed"));
  }

  kj::Promise<void> ps() {
    auto answer = co_await cells().listRequest().send();
    show(showCells(answer.getCells(), options.json));
  }

  kj::Promise<void> inspect() {
    auto answer = co_await find();
    show(showCell(answer.getInfo(), options.json));
  }

  kj::Promise<void> kill() {
    auto answer = co_await find();
    if (!answer.hasProcess()) {
      kj::throwFatalException(badInput(kj::str("cell ", options.cell, " has ended already, with ",
          answer.getInfo().getState().getExitCode())));
    }
    co_await answer.getProcess().killRequest().send();
    show(options.json ? kj::str(JsonObject().add("cell", options.cell).toText(), '\n')
                      : kj::str(options.cell, '\n'));
  }

  kj::Promise<void> logs() {
    auto request = cells().logRequest();
    request.setId(options.cell);
    request.setFollow(options.follow);
    auto stream = request.send().getStream();
    auto out = openStdout(io);
    for (;;) {
      auto read = stream.readRequest();
      read.setMaxBytes(READ_BYTES);
      auto answer = co_await read.send();
      auto data = answer.getData();
      if (data.size() == 0) co_return;
      kj::String line;
      if (options.json) line = showLog(options.cell, data);
      bool taken = co_await write(*out, options.json ? line.asBytes() : data.asBytes());
      if (!taken) co_return;
    }
  }

  kj::Promise<void> caps() {
    auto node = getNode();
    auto sessions = co_await node.sessionsRequest().send();
    auto list = co_await node.cellsRequest().send().getCells().listRequest().send();
    show(showSessions(sessions.getSessions(), list.getCells(), options.json));
  }

  kj::Promise<void> epoch() {
    auto answer = co_await getNode().epochRequest().send();
    show(showEpoch(answer.getInfo(), options.json));
  }

  kj::Promise<void> peerId() {
    auto id = co_await session.getHost().idRequest().send();
    auto addrs = co_await session.getHost().addrsRequest().send();
    show(showNode(id.getPeerId(), addrs.getAddrs(), options.json));
  }

  kj::Promise<void> peerLs() {
    auto answer = co_await session.getHost().peersRequest().send();
    show(showPeers(answer.getPeers(), options.json));
  }

  kj::Promise<void> peerConnect() {
    auto peer = parsePeerAddr(options.peer);
    auto request = session.getHost().connectRequest();
    request.setPeerId(peer.peerId);
    request.initAddrs(1).set(0, peer.addr);
    co_await request.send();
    auto text = peerIdText(peer.peerId);
    show(options.json ? kj::str(JsonObject().add("peerId", text).toText(), '\n')
                      : kj::str(text, '\n'));
  }

  kj::Promise<void> peerPing() {
    auto id = parsePeerId(options.peer);
    auto request = getNode().pingRequest();
    request.setPeerId(id);
    auto answer = co_await request.send();
    auto ns = answer.getRoundTripNs();
    show(options.json
             ? kj::str(JsonObject().add("peerId", options.peer).add("roundTripNs", ns).toText(),
                       '\n')
             : kj::str(double(ns) / 1e6, " ms\n"));
  }
};

kj::Promise<void> askOnce(NodeClient& client, kj::AsyncIoContext& io,
                          const AskOptions& options) {
  auto& timer = io.provider->getTimer();
  using Grafted = capnp::Response<GraftResults>;
  auto late = timer.afterDelay(options.timeout).then([&options]() -> kj::Promise<Grafted> {
    return noAnswer(options.timeout);
  });
  auto graft = co_await client.untilGone(
      kj::Promise<Grafted>(client.graftRequest().send()).exclusiveJoin(kj::mv(late)));
  Ask ask(options, *io.lowLevelProvider, graft.getSession().getExtension());
  co_await client.untilGone(ask.run());
}

kj::Promise<void> askNode(kj::AsyncIoContext& io, const AskOptions& options, Logger& logger) {
  // The epoch may move between a graft and the question. What was shown of a log stays shown.
  constexpr kj::uint TRIES = 3;
  auto client = co_await connectTo(io, options, logger);
  for (kj::uint tries = 1;; tries++) {
    bool isStale = false;
    bool isLast = tries == TRIES || options.what == What::LOGS;
    co_await askOnce(*client, io, options).catch_([&](kj::Exception&& e) {
      isStale = reasonOf(e).startsWith("staleEpoch:");
      if (!isStale || isLast) kj::throwFatalException(kj::mv(e));
    });
    if (!isStale) co_return;
  }
}

}  // namespace

int ask(const AskOptions& options) {
  StderrLogger logger(KJ_ASSERT_NONNULL(findLogLevel(options.logLevel)),
                      options.logFormat == "json" ? LogFormat::JSON : LogFormat::TEXT);
  KjLogs kjLogs(logger);
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    kj::UnixEventPort::setReservedSignal(SIGUSR2);
    auto io = kj::setupAsyncIo();
    KJ_DEFER(io.waitScope.poll());
    askNode(io, options, logger).wait(io.waitScope);
  })) {
    logger.log(LogLevel::ERROR, "that was not done", {{"cause", explain(*exception)}});
    return EXIT_NODE_FAILED;
  }
  return 0;
}

}  // namespace ww
