// A pid0 that holds on to everything of a session past its end, and says what becomes of it.
//
//   hold              starts a child that parks; says `holding`; once the epoch is over, a line for
//                     each capability of the old session: what its call came to; then grafts again
//   abandon           the same start, but then does nothing more, until its stdin ends
//   hoard COUNT       grafts COUNT times and keeps every session; says how it ended
//   bench-graft COUNT [CALLS] prints nanoseconds a graft, and an echo of the Executor
#include <membrane.capnp.h>
#include <stem.capnp.h>
#include <stdlib.h>
#include <ww/guest.h>

namespace {

using Membrane = ww::stem::Membrane<ww::membrane::WetwareSession>;
using Session = ww::stem::Session<ww::membrane::WetwareSession>;
using ww::peer::ByteStream;
using ww::peer::Process;

constexpr kj::byte CHILD[] = {
#embed "cell-plain.wasm"
};

Process::Client startChild(ww::peer::Executor::Client executor, kj::StringPtr mode) {
  auto request = executor.runBytesRequest();
  request.setWasm(kj::arrayPtr(CHILD, sizeof(CHILD)));
  request.initArgs(1).set(0, mode);
  return request.send().getProcess();
}

kj::Promise<kj::String> readSome(ByteStream::Client stream) {
  auto request = stream.readRequest();
  request.setMaxBytes(1024);
  auto response = co_await request.send();
  co_return kj::heapString(response.getData().asChars());
}

// What a call comes to, as one line.
kj::Promise<void> report(kj::StringPtr name, kj::Promise<void> call) {
  auto outcome = co_await ww::attempt(kj::mv(call));
  KJ_IF_MAYBE(exception, outcome) {
    ww::print(kj::str(name, ": ", ww::reason(*exception), '\n'));
  } else {
    ww::print(kj::str(name, ": answered\n"));
  }
}

kj::Promise<void> untilOver(ww::stem::StatusPoller::Client poller, kj::Timer& timer) {
  for (;;) {
    auto outcome = co_await ww::attempt(poller.pollStatusRequest().send().ignoreResult());
    if (outcome != nullptr) co_return;
    co_await timer.afterDelay(1 * kj::MILLISECONDS);
  }
}

kj::Promise<void> hold(ww::Guest& guest, Membrane::Client membrane) {
  auto graft = co_await membrane.graftRequest().send();
  auto session = graft.getSession();
  auto host = session.getExtension().getHost();
  auto executor = session.getExtension().getExecutor();
  auto child = startChild(executor, "park");
  auto stdin = child.stdinRequest().send().getStream();
  auto stdout = child.stdoutRequest().send().getStream();
  auto parked = co_await readSome(stdout);
  ww::print("holding\n");

  auto waiting = child.waitRequest().send().ignoreResult();
  auto reading = readSome(stdout).ignoreResult();
  co_await untilOver(session.getStatusPoller(), guest.timer());

  co_await report("a wait in flight", kj::mv(waiting));
  co_await report("a read in flight", kj::mv(reading));
  co_await report("poller", session.getStatusPoller().pollStatusRequest().send().ignoreResult());
  co_await report("host", host.idRequest().send().ignoreResult());
  co_await report("host.executor", host.executorRequest().send().ignoreResult());
  co_await report("executor", executor.echoRequest().send().ignoreResult());
  co_await report("runBytes", startChild(executor, "park").waitRequest().send().ignoreResult());
  co_await report("process", child.waitRequest().send().ignoreResult());
  co_await report("kill", child.killRequest().send().ignoreResult());
  co_await report("stdin", stdin.writeRequest().send().ignoreResult());
  co_await report("stdout", readSome(stdout).ignoreResult());

  auto again = co_await membrane.graftRequest().send();
  ww::print(kj::str("epoch ", again.getSession().getIssuedEpoch().getSeq(), '\n'));
}

kj::Promise<void> abandon(ww::Guest& guest, Membrane::Client membrane) {
  auto graft = co_await membrane.graftRequest().send();
  auto child = startChild(graft.getSession().getExtension().getExecutor(), "spin");
  co_await readSome(child.stdoutRequest().send().getStream());
  ww::print("holding\n");
  co_await guest.input().readAllBytes();
  ww::print("still here\n");
}

kj::Promise<void> hoard(Membrane::Client membrane, kj::uint count) {
  kj::Vector<capnp::Response<Membrane::GraftResults>> sessions;
  kj::Maybe<kj::Exception> refusal;
  while (sessions.size() < count && refusal == nullptr) {
    auto outcome = co_await ww::attempt(membrane.graftRequest().send());
    KJ_SWITCH_ONEOF(outcome) {
      KJ_CASE_ONEOF(session, capnp::Response<Membrane::GraftResults>) {
        sessions.add(kj::mv(session));
      }
      KJ_CASE_ONEOF(exception, kj::Exception) { refusal = kj::mv(exception); }
    }
  }
  KJ_IF_MAYBE(exception, refusal) {
    ww::print(kj::str(sessions.size(), ": ", ww::reason(*exception), '\n'));
  } else {
    ww::print(kj::str(sessions.size(), ": all given\n"));
  }
}

kj::Promise<double> nanosecondsEach(kj::uint count, kj::Function<kj::Promise<void>()> call) {
  auto& clock = kj::systemPreciseMonotonicClock();
  auto begin = clock.now();
  for (kj::uint i = 0; i < count; i++) co_await call();
  co_return (clock.now() - begin) / kj::NANOSECONDS / double(count);
}

kj::Promise<void> benchGraft(Membrane::Client membrane, kj::uint count, kj::uint calls) {
  auto graft = co_await membrane.graftRequest().send();
  auto executor = graft.getSession().getExtension().getExecutor();
  auto echo = co_await nanosecondsEach(calls, [&]() {
    auto request = executor.echoRequest();
    request.setMessage("0123456789abcdef");
    return request.send().ignoreResult();
  });
  auto grafts = co_await nanosecondsEach(count, [&]() {
    return membrane.graftRequest().send().ignoreResult();
  });
  ww::print(kj::str(grafts, ' ', echo, '\n'));
}

}  // namespace

WW_GUEST_MAIN(guest) {
  auto membrane = guest.bootstrap<Membrane>();
  auto mode = guest.args().size() > 0 ? guest.args()[0] : ""_kj;
  if (mode == "hold") {
    co_await hold(guest, membrane);
  } else if (mode == "abandon") {
    co_await abandon(guest, membrane);
  } else if (mode == "hoard") {
    co_await hoard(membrane, guest.args()[1].parseAs<kj::uint>());
  } else if (mode == "bench-graft") {
    auto count = guest.args()[1].parseAs<kj::uint>();
    auto calls = guest.args().size() > 2 ? guest.args()[2].parseAs<kj::uint>() : count;
    co_await benchGraft(membrane, count, calls);
  } else {
    ww::printError("no such mode\n");
    guest.exitWith(2);
  }
}
