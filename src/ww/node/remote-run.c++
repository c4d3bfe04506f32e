#include <ww/node/remote-run.h>

#include <deque>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/cell/cell.h>
#include <ww/node/stdio.h>

namespace ww {
namespace {

using peer::ByteStream;
using peer::Process;

constexpr uint32_t READ_BYTES = 64 * 1024;
constexpr size_t READS_AHEAD = 4;  // so that a distant node need not wait for each

// Before a graft is answered, a node may take no larger message.
constexpr size_t MAX_EARLY_BYTES = 48 * 1024;
// For the node, once it was asked to end the component, and then for whoever reads what it wrote.
constexpr kj::Duration TO_SAY_SO = 5 * kj::SECONDS;

constexpr size_t TEXT_OVERHEAD = 24;  // of one in a message, at most

using Read = capnp::RemotePromise<ByteStream::ReadResults>;

Read read(ByteStream::Client& stream) {
  auto request = stream.readRequest();
  request.setMaxBytes(READ_BYTES);
  return request.send();
}

// To the end of it, or until nobody takes it any more: then the component finds a closed stream.
kj::Promise<void> copyOut(ByteStream::Client stream, kj::AsyncOutputStream& to) {
  std::deque<Read> reads;
  for (;;) {
    while (reads.size() < READS_AHEAD) reads.push_back(read(stream));
    auto results = co_await kj::mv(reads.front());
    reads.pop_front();
    auto data = results.getData();
    if (data.size() == 0) co_return;
    co_await to.write(data.begin(), data.size());
  }
}

// Says why the input could not be read further: the component gets the end of it then.
kj::Promise<kj::Maybe<kj::String>> copyIn(kj::AsyncInputStream& from, ByteStream::Client stream) {
  auto buffer = kj::heapArray<kj::byte>(READ_BYTES);
  kj::Maybe<kj::String> problem;
  for (;;) {
    auto n = co_await kj::evalNow([&]() {
      return from.tryRead(buffer.begin(), 1, buffer.size());
    }).catch_([&](kj::Exception&& e) -> size_t {
      problem = systemReason(e);
      return 0;
    });
    if (n == 0) break;
    auto request = stream.writeRequest(capnp::MessageSize{16 + n / sizeof(capnp::word), 0});
    request.setData(buffer.slice(0, n));
    co_await request.send();
  }
  co_await stream.closeRequest().send();
  co_return kj::mv(problem);
}

class RemoteRun {
 public:
  RemoteRun(Process::Client process, StandardStreams streams)
      : process(kj::mv(process)), streams(kj::mv(streams)) {}

  // Input is sent once `granted` resolves: large messages are for a link that has grafted. Once
  // `kill` resolves nobody is waited for long: neither the node nor whoever reads the output.
  kj::Promise<int32_t> run(kj::Promise<void> granted, kj::Promise<void> kill, kj::Timer& timer) {
    auto output = copy("stdout", process.stdoutRequest().send().getStream(), *streams.out);
    auto errors = copy("stderr", process.stderrRequest().send().getStream(), *streams.err);
    auto stdin_ = process.stdinRequest().send().getStream();
    auto input = granted.then([this, &stdin_]() { return copyIn(*streams.in, kj::mv(stdin_)); })
        .then([this](kj::Maybe<kj::String>&& problem) {
      KJ_IF_MAYBE(why, problem) lose(kj::str("stdin could not be read: ", *why));
    }).eagerlyEvaluate([](kj::Exception&&) {});  // it no longer reads
    auto killed = kill.fork();
    auto killing = killed.addBranch().then([this]() {
      return process.killRequest().send().ignoreResult();
    }).eagerlyEvaluate([](kj::Exception&&) {});
    auto late = killed.addBranch().then([&timer]() { return timer.afterDelay(TO_SAY_SO); }).fork();
    auto exit = co_await waitForExit(late.addBranch());
    co_await output.exclusiveJoin(late.addBranch());
    co_await errors.exclusiveJoin(late.addBranch());
    KJ_IF_MAYBE(what, lost) {
      kj::throwFatalException(badInput(kj::str("it ended with ", exit, ", but ", *what)));
    }
    if (exit == EXIT_TRAP) co_await sayWhy().exclusiveJoin(late.addBranch());
    co_return exit;
  }

 private:
  Process::Client process;
  StandardStreams streams;
  kj::Maybe<kj::String> lost;  // what could not be read or written here, and why

  // Behind what it wrote itself: why it trapped, if it did.
  kj::Promise<void> sayWhy() {
    auto cause = process.infoRequest().send().then([](auto&& answer) {
      return kj::str(answer.getInfo().getCause());
    }, [](kj::Exception&&) { return kj::String(); });
    auto why = co_await cause;
    if (why.size() == 0) co_return;
    auto line = kj::str("it trapped: ", escapeText(why), '\n');
    co_await streams.err->write(line.begin(), line.size()).catch_([](kj::Exception&&) {});
  }

  void lose(kj::String what) {
    if (lost == nullptr) lost = kj::mv(what);
  }

  kj::Promise<int32_t> waitForExit(kj::Promise<void> late) {
    return process.waitRequest().send().then([](auto&& answer) {
      return int32_t(answer.getExitCode());
    }).exclusiveJoin(late.then([]() -> kj::Promise<int32_t> {
      return badInput(kj::str("interrupted: the node was asked to end it, and did not say so "
                              "within ", TO_SAY_SO));
    }));
  }

  kj::Promise<void> copy(kj::StringPtr name, ByteStream::Client stream,
                         kj::AsyncOutputStream& to) {
    auto closing = stream;
    return copyOut(kj::mv(stream), to).catch_([this, name, closing = kj::mv(closing)](
        kj::Exception&& e) mutable {
      if (e.getType() != kj::Exception::Type::DISCONNECTED) {
        lose(kj::str("what it wrote to ", name, " is lost: ", systemReason(e)));
      }
      return closing.closeRequest().send().ignoreResult().catch_([](kj::Exception&&) {});
    }).eagerlyEvaluate(nullptr);
  }
};

using Running = capnp::RemotePromise<peer::Executor::RunBytesResults>;

// Must the graft have been answered first? Otherwise what is to be run is sent right behind it.
bool isTooLarge(NodeClient& client, const RemoteRunOptions& options) {
  size_t bytes = options.wasm.size();
  for (auto& arg: options.args) bytes += arg.size() + TEXT_OVERHEAD;
  for (auto& variable: options.env) bytes += variable.size() + TEXT_OVERHEAD;
  return client.mustGraftFirst() && bytes > MAX_EARLY_BYTES;
}

Running start(peer::Executor::Client executor, const RemoteRunOptions& options) {
  auto request = executor.runBytesRequest();
  request.setWasm(options.wasm);
  auto args = request.initArgs(options.args.size());
  for (size_t i = 0; i < options.args.size(); i++) args.set(i, options.args[i]);
  auto env = request.initEnv(options.env.size());
  for (size_t i = 0; i < options.env.size(); i++) env.set(i, options.env[i]);
  return request.send();
}

kj::Promise<void> inTime(kj::Promise<void> answered, kj::Timer& timer, kj::Duration timeout) {
  auto late = timer.afterDelay(timeout).then([timeout]() -> kj::Promise<void> {
    return noAnswer(timeout);
  });
  return answered.exclusiveJoin(kj::mv(late));
}

kj::Promise<int32_t> graftAndRun(NodeClient& client, kj::Timer& timer, RemoteRunOptions options,
                                 StandardStreams streams, kj::Promise<void> kill) {
  auto graft = client.graftRequest().send();
  auto executor = graft.getSession().getExtension().getExecutor();
  auto killed = kill.fork();
  auto answered = inTime(graft.ignoreResult(), timer, options.timeout)
      .exclusiveJoin(killed.addBranch().then([]() -> kj::Promise<void> {
    return badInput("interrupted before the node answered");
  })).fork();
  if (isTooLarge(client, options)) co_await answered.addBranch();
  auto running = start(kj::mv(executor), options);
  RemoteRun run(running.getProcess(), kj::mv(streams));
  // All that follows is sent at once, but why it failed is told by the first that did.
  auto granted = client.mustGraftFirst() ? answered.addBranch() : kj::READY_NOW;
  auto code = run.run(kj::mv(granted), killed.addBranch(), timer);
  co_await answered.addBranch();
  // Before it runs there is nothing to be asked to end: whoever drops the link gives it up.
  auto begun = running.then([](auto&&) { return true; })
      .exclusiveJoin(killed.addBranch().then([]() { return false; }));
  if (!co_await begun) co_return EXIT_KILLED;
  co_return co_await code;
}

kj::Promise<uint64_t> graftAndDetach(NodeClient& client, kj::Timer& timer,
                                     RemoteRunOptions options) {
  auto graft = client.graftRequest().send();
  auto executor = graft.getSession().getExtension().getExecutor();
  auto answered = inTime(graft.ignoreResult(), timer, options.timeout).fork();
  if (isTooLarge(client, options)) co_await answered.addBranch();
  auto running = start(kj::mv(executor), options);
  auto detached = running.getProcess().detachRequest().send();
  co_await answered.addBranch();
  co_await running;
  auto answer = co_await detached;
  co_return answer.getId();
}

}  // namespace

kj::Promise<int32_t> runRemotely(NodeClient& client, kj::Timer& timer, RemoteRunOptions options,
                                 StandardStreams streams, kj::Promise<void> kill) {
  return client.untilGone(
      graftAndRun(client, timer, kj::mv(options), kj::mv(streams), kj::mv(kill)));
}

kj::Promise<uint64_t> runDetached(NodeClient& client, kj::Timer& timer,
                                  RemoteRunOptions options) {
  return client.untilGone(graftAndDetach(client, timer, kj::mv(options)));
}

}  // namespace ww
