// The default image's first cell. It grafts, looks around, runs a child from the bytes that the
// build put into it, passes the child's output on, and ends as the child does. If the epoch moves
// on meanwhile, it grafts again and starts over: the old session's child is gone with its session.
//
// With the argument `watch` it shows epochs instead: a line for each, until its stdin ends.
#include <membrane.capnp.h>
#include <stem.capnp.h>
#include <ww/base58.h>
#include <ww/guest.h>

namespace {

using Membrane = ww::stem::Membrane<ww::membrane::WetwareSession>;
using Session = ww::stem::Session<ww::membrane::WetwareSession>;

constexpr kj::byte CHILD[] = {
#embed "child-echo.wasm"
};

constexpr uint32_t READ_BYTES = 64 * 1024;
constexpr kj::Duration STATUS_INTERVAL = 100 * kj::MILLISECONDS;

bool isStale(const kj::Exception& exception) {
  return ww::reason(exception).startsWith("staleEpoch:");
}

kj::Promise<void> copyOut(ww::peer::ByteStream::Client from, void (*print)(kj::StringPtr)) {
  for (;;) {
    auto request = from.readRequest();
    request.setMaxBytes(READ_BYTES);
    auto response = co_await request.send();
    auto data = response.getData();
    if (data.size() == 0) co_return;
    print(kj::heapString(data.asChars()));
  }
}

kj::Promise<int> runChild(ww::peer::Executor::Client executor) {
  auto request = executor.runBytesRequest(capnp::MessageSize{sizeof(CHILD) / 8 + 64, 0});
  request.setWasm(kj::arrayPtr(CHILD, sizeof(CHILD)));
  auto process = request.send().getProcess();

  auto output = copyOut(process.stdoutRequest().send().getStream(), ww::print);
  auto errors = copyOut(process.stderrRequest().send().getStream(), ww::printError);
  auto ended = co_await process.waitRequest().send();
  co_await output;
  co_await errors;
  co_return ended.getExitCode();
}

kj::Promise<int> runSession(Membrane::Client membrane) {
  auto graft = co_await membrane.graftRequest().send();
  auto session = graft.getSession();
  auto extension = session.getExtension();
  ww::print(kj::str("pid0: grafted in epoch ", session.getIssuedEpoch().getSeq(), "\n"));

  auto id = co_await extension.getHost().idRequest().send();
  ww::print(kj::str("pid0: on node ", ww::encodeBase58(id.getPeerId()), "\n"));

  auto code = co_await runChild(extension.getExecutor());
  ww::print(kj::str("pid0: the child exited with ", code, "\n"));
  co_return code;
}

// Resolves when the session's epoch is over.
kj::Promise<void> untilStale(ww::stem::StatusPoller::Client poller, kj::Timer& timer) {
  for (;;) {
    auto outcome = co_await ww::attempt(poller.pollStatusRequest().send().ignoreResult());
    KJ_IF_MAYBE(exception, outcome) {
      if (isStale(*exception)) co_return;
      kj::throwFatalException(kj::mv(*exception));
    }
    co_await timer.afterDelay(STATUS_INTERVAL);
  }
}

kj::Promise<void> watchEpochs(Membrane::Client membrane, kj::Timer& timer) {
  for (;;) {
    auto graft = co_await membrane.graftRequest().send();
    auto session = graft.getSession();
    ww::print(kj::str("pid0: epoch ", session.getIssuedEpoch().getSeq(), "\n"));
    co_await untilStale(session.getStatusPoller(), timer);
  }
}

kj::Promise<void> untilInputEnds(kj::AsyncInputStream& input) {
  kj::byte buffer[256];
  while (co_await input.tryRead(buffer, 1, sizeof(buffer)) > 0) {}
}

}  // namespace

WW_GUEST_MAIN(guest) {
  auto membrane = guest.bootstrap<Membrane>();
  if (guest.args().size() > 0 && guest.args()[0] == "watch") {
    co_await watchEpochs(membrane, guest.timer()).exclusiveJoin(untilInputEnds(guest.input()));
    co_return;
  }
  for (;;) {
    auto outcome = co_await ww::attempt(runSession(membrane));
    KJ_SWITCH_ONEOF(outcome) {
      KJ_CASE_ONEOF(code, int) {
        guest.exitWith(code);
        co_return;
      }
      KJ_CASE_ONEOF(exception, kj::Exception) {
        if (!isStale(exception)) kj::throwFatalException(kj::mv(exception));
        ww::printError(kj::str("pid0: ", ww::reason(exception), "; grafting again\n"));
      }
    }
  }
}
