// A guest that speaks to its host through the SDK; its bootstrap capability is a Host.
//
//   echo TEXT         prints the answer
//   reread            reads one long answer a hundred times
//   leave             exits with 5 while calls are outstanding
//   trap              traps while a call is outstanding
//   fail              lets a refused call's failure through
//   wrong-interface   takes its bootstrap for something else
//   tree N            reads its own component from stdin; starts a child that does the same with
//                     N-1; says `tree N` once all below stand, and waits for the end of the host
//   orphan            reads its own component from stdin, starts a child that idles, exits with 3
//   big BYTES         has that many zeros run as a component; prints the failure
//   bench-echo COUNT IN_FLIGHT BYTES
//                     prints nanoseconds a call; COUNT calls, IN_FLIGHT at a time
//   bench-spawn COUNT IN_FLIGHT
//                     prints nanoseconds a cell, from its start to its exit: COUNT of the component
//                     on stdin, IN_FLIGHT at a time; waits for the end of the host
//   late-timer        computes for a while, then waits; fails if it did not wait for as long
//   hold-host         holds its Host and Executor until they fail; traps if all of them are stale
//   flood             reads its own component from stdin, starts a child that idles; 1 GiB of
//                     writes to it in pieces of 64 KiB, and 1,000 reads of 0xFFFFFFFF bytes,
//                     without waiting for any; says what became of them, exits with 0
//   fork              reads its own component from stdin, starts children that idle until one is
//                     refused; says how many there are, and why; waits for the end of the host
//   idle              says `idle` once a call was answered, waits for the end of the host
#include <kj/debug.h>
#include <membrane.capnp.h>
#include <peer.capnp.h>
#include <stdlib.h>
#include <stem.capnp.h>
#include <ww/guest.h>

namespace {

using ww::peer::Executor;

kj::Promise<void> echo(Executor::Client executor, kj::StringPtr text) {
  auto request = executor.echoRequest();
  request.setMessage(text);
  auto response = co_await request.send();
  ww::print(kj::str(response.getResponse(), '\n'));
}

kj::Promise<void> reread(Executor::Client executor) {
  constexpr kj::uint BYTES = 100'000;
  auto request = executor.echoRequest();
  request.initMessage(BYTES);
  auto response = co_await request.send();
  for (int i = 0; i < 100; i++) KJ_ASSERT(response.getResponse().size() > BYTES);
}

kj::Promise<void> leave(ww::Guest& guest, Executor::Client executor, bool trap) {
  auto first = executor.echoRequest();
  first.setMessage("answered");
  co_await first.send();
  auto pending = executor.echoRequest();
  pending.setMessage("never answered");
  auto promise = pending.send();
  if (trap) __builtin_trap();
  _Exit(5);
}

kj::Promise<void> wrongInterface(ww::Guest& guest) {
  auto wrong = guest.bootstrap<ww::stem::Membrane<ww::membrane::WetwareSession>>();
  auto outcome = co_await ww::attempt(wrong.graftRequest().send().ignoreResult());
  KJ_IF_MAYBE(exception, outcome) {
    ww::print(kj::str(exception->getType(), ": ", ww::reason(*exception), '\n'));
  }
}

kj::Promise<void> readLine(ww::peer::ByteStream::Client from, kj::StringPtr wanted) {
  kj::Vector<char> seen;
  while (seen.empty() || seen.back() != '\n') {
    auto request = from.readRequest();
    request.setMaxBytes(1024);
    auto response = co_await request.send();
    seen.addAll(response.getData().asChars());
    KJ_REQUIRE(response.getData().size() > 0, "the child ended early");
  }
  seen.removeLast();
  KJ_REQUIRE(kj::heapString(seen.asPtr()) == wanted);
}

ww::peer::Process::Client start(Executor::Client executor, kj::ArrayPtr<const kj::byte> wasm,
                                std::initializer_list<kj::StringPtr> args) {
  auto request = executor.runBytesRequest(capnp::MessageSize{wasm.size() / 8 + 64, 0});
  request.setWasm(wasm);
  auto list = request.initArgs(args.size());
  for (kj::uint i = 0; i < args.size(); i++) list.set(i, args.begin()[i]);
  return request.send().getProcess();
}

kj::Promise<void> tree(ww::Guest& guest, Executor::Client executor, int depth) {
  auto self = co_await guest.input().readAllBytes();
  ww::peer::Process::Client child = nullptr;
  if (depth > 0) {
    auto below = kj::str(depth - 1);
    child = start(executor, self, {"tree", below});
    auto stdin = child.stdinRequest().send().getStream();
    auto write = stdin.writeRequest();
    write.setData(self);
    co_await write.send();
    co_await stdin.closeRequest().send();
    co_await readLine(child.stdoutRequest().send().getStream(), kj::str("tree ", below));
  }
  ww::print(kj::str("tree ", depth, "\n"));
  co_await guest.onDisconnect();
}

kj::Promise<void> lateTimer(ww::Guest& guest) {
  auto& clock = kj::systemPreciseMonotonicClock();
  constexpr auto WHILE = 20 * kj::MILLISECONDS;
  for (auto begin = clock.now(); clock.now() - begin < WHILE;) {}
  auto begin = clock.now();
  co_await guest.timer().afterDelay(WHILE / 2);
  KJ_REQUIRE(clock.now() - begin >= WHILE / 2, "the timer counted from the last wait");
}

kj::Promise<void> expectStale(kj::Promise<void> call) {
  auto outcome = co_await ww::attempt(kj::mv(call));
  auto& exception = KJ_REQUIRE_NONNULL(outcome, "answered");
  KJ_REQUIRE(ww::reason(exception) == "staleEpoch: issued 0, current 1"_kj, exception);
}

// Nobody reads what a cell of an ended session prints: a trap is what the node's log shows.
kj::Promise<void> holdHost(ww::Guest& guest, ww::peer::Host::Client host,
                           Executor::Client executor) {
  ww::print("holding\n");
  for (;;) {
    auto outcome = co_await ww::attempt(host.idRequest().send().ignoreResult());
    if (outcome != nullptr) break;
  }
  co_await expectStale(host.idRequest().send().ignoreResult());
  co_await expectStale(host.executorRequest().send().ignoreResult());
  co_await expectStale(executor.echoRequest().send().ignoreResult());
  co_await expectStale(start(executor, nullptr, {}).waitRequest().send().ignoreResult());
  __builtin_trap();
}

kj::Promise<void> orphan(ww::Guest& guest, Executor::Client executor) {
  auto self = co_await guest.input().readAllBytes();
  auto child = start(executor, self, {"idle"});
  co_await readLine(child.stdoutRequest().send().getStream(), "idle");
  guest.exitWith(3);
}

kj::Promise<void> big(ww::Guest& guest, Executor::Client executor) {
  auto zeros = kj::heapArray<kj::byte>(guest.args()[1].parseAs<uint32_t>());
  memset(zeros.begin(), 0, zeros.size());
  auto request = executor.runBytesRequest(capnp::MessageSize{zeros.size() / 8 + 64, 0});
  request.setWasm(zeros);
  zeros = nullptr;
  auto outcome = co_await ww::attempt(request.send().ignoreResult());
  KJ_IF_MAYBE(exception, outcome) {
    ww::print(kj::str(exception->getType(), ": ", ww::reason(*exception), '\n'));
  }
}

// What became of calls that nobody waits for one by one.
struct Tally {
  kj::uint done = 0, refused = 0, waiting = 0;
  kj::String why;
  kj::Vector<kj::Promise<void>> calls;

  void add(kj::Promise<void> call) {
    ++waiting;
    calls.add(call.then([this]() {
      --waiting;
      ++done;
    }, [this](kj::Exception&& e) {
      --waiting;
      ++refused;
      if (why.size() == 0) why = kj::str(ww::reason(e));
    }).eagerlyEvaluate(nullptr));
  }
  kj::String toText(kj::StringPtr name) const {
    return kj::str(name, ": ", done, " done, ", waiting, " waiting, the others: ", why, '\n');
  }
};

kj::Promise<void> flood(ww::Guest& guest, Executor::Client executor) {
  constexpr kj::uint PIECE = 64 * 1024, WRITES = (1u << 30) / PIECE, READS = 1000;
  auto child = start(executor, co_await guest.input().readAllBytes(), {"idle"});
  auto out = child.stdoutRequest().send().getStream();
  co_await readLine(out, "idle");
  Tally writes, reads;
  for (kj::uint i = 0; i < READS; i++) {
    auto request = out.readRequest();
    request.setMaxBytes(kj::maxValue);
    reads.add(request.send().ignoreResult());
  }
  co_await executor.echoRequest().send();  // behind which they are
  auto in = child.stdinRequest().send().getStream();
  for (kj::uint i = 0; i < WRITES; i++) {
    auto request = in.writeRequest(capnp::MessageSize{PIECE / 8 + 16, 0});
    request.initData(PIECE);
    writes.add(request.send().ignoreResult());
    // What is refused is freed before more is sent: the guest's own memory is 256 MiB.
    if (i % 64 == 63) co_await executor.echoRequest().send().ignoreResult().catch_([](auto&&) {});
  }
  co_await executor.echoRequest().send().ignoreResult().catch_([](auto&&) {});
  ww::print(writes.toText("writes"));
  ww::print(reads.toText("reads"));
  guest.exitWith(0);
}

kj::Promise<void> fork(ww::Guest& guest, Executor::Client executor) {
  auto self = co_await guest.input().readAllBytes();
  kj::Vector<ww::peer::Process::Client> children;
  for (;;) {
    auto child = start(executor, self, {"idle"});
    auto outcome = co_await ww::attempt(child.infoRequest().send().ignoreResult());
    KJ_IF_MAYBE(exception, outcome) {
      ww::print(kj::str(children.size(), ": ", ww::reason(*exception), '\n'));
      break;
    }
    children.add(kj::mv(child));
  }
  co_await guest.onDisconnect();
}

struct SpawnBench {
  Executor::Client executor;
  kj::Array<kj::byte> wasm;
  kj::uint left;

  kj::Promise<void> worker() {
    while (left > 0) {
      --left;
      auto ended = co_await start(executor, wasm, {}).waitRequest().send();
      KJ_REQUIRE(ended.getExitCode() == 0);
    }
  }
};

struct Bench {
  Executor::Client executor;
  kj::String message;
  kj::uint left;

  kj::Promise<void> worker() {
    while (left > 0) {
      --left;
      auto request = executor.echoRequest();
      request.setMessage(message);
      co_await request.send();
    }
  }
};

uint32_t number(ww::Guest& guest, size_t arg) {
  return kj::StringPtr(guest.args()[arg]).parseAs<uint32_t>();
}

template <typename Bench>
kj::Promise<void> time(Bench& bench, uint32_t count, uint32_t inFlight) {
  auto& clock = kj::systemPreciseMonotonicClock();
  auto begin = clock.now();
  kj::Vector<kj::Promise<void>> workers;
  for (uint32_t i = 0; i < inFlight; i++) workers.add(bench.worker());
  co_await kj::joinPromises(workers.releaseAsArray());
  ww::print(kj::str((clock.now() - begin) / kj::NANOSECONDS / double(count), '\n'));
}

kj::Promise<void> benchEcho(ww::Guest& guest, Executor::Client executor) {
  auto message = kj::heapString(number(guest, 3));
  memset(message.begin(), 'x', message.size());
  Bench bench{executor, kj::mv(message), number(guest, 1)};
  co_await time(bench, bench.left, number(guest, 2));
}

kj::Promise<void> benchSpawn(ww::Guest& guest, Executor::Client executor) {
  SpawnBench bench{executor, co_await guest.input().readAllBytes(), number(guest, 1)};
  co_await time(bench, bench.left, number(guest, 2));
  co_await guest.onDisconnect();
}

// `host` is held, and not used.
kj::Promise<void> idle(ww::Guest& guest, ww::peer::Host::Client host,
                       Executor::Client executor) {
  co_await executor.echoRequest().send();
  ww::print("idle\n");
  co_await guest.onDisconnect();
}

// Not a coroutine: its frame would have room for whatever any of them waits for.
kj::Promise<void> run(kj::StringPtr mode, ww::Guest& guest) {
  if (mode == "wrong-interface") return wrongInterface(guest);
  auto host = guest.bootstrap<ww::peer::Host>();
  auto executor = host.executorRequest().send().getExecutor();
  if (mode == "echo") return echo(executor, guest.args()[1]);
  if (mode == "reread") return reread(executor);
  if (mode == "leave" || mode == "trap") return leave(guest, executor, mode == "trap");
  if (mode == "fail") return executor.runBytesRequest().send().ignoreResult();
  if (mode == "tree") return tree(guest, executor, guest.args()[1].parseAs<int>());
  if (mode == "orphan") return orphan(guest, executor);
  if (mode == "big") return big(guest, executor);
  if (mode == "flood") return flood(guest, executor);
  if (mode == "fork") return fork(guest, executor);
  if (mode == "bench-echo") return benchEcho(guest, executor);
  if (mode == "bench-spawn") return benchSpawn(guest, executor);
  if (mode == "late-timer") return lateTimer(guest);
  if (mode == "hold-host") return holdHost(guest, host, executor);
  if (mode == "idle") return idle(guest, host, executor);
  ww::printError("no such mode\n");
  guest.exitWith(2);
  return kj::READY_NOW;
}

}  // namespace

WW_GUEST_MAIN(guest) {
  return run(guest.args().size() > 0 ? guest.args()[0] : ""_kj, guest);
}
