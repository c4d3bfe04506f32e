// A thousand times a second, alone and beside cells that loop for ever: a guest calls its host, and
// a client on a thread of its own has a cell answer it. A thousand cells that call without a pause.
// What it takes to end a cell that loops.
#include <kj/debug.h>
#include <kj/thread.h>
#include <math.h>
#include <sys/socket.h>
#include <test-node.h>
#include <time.h>
#include <unistd.h>
#include <algorithm>
#include "bench.h"
#include "child.h"

namespace ww::bench {
namespace {

constexpr kj::uint CALLS = 3000;
constexpr size_t SHARES = 3;
constexpr kj::StringPtr NAMES[SHARES] = {"half"_kj, "99 %"_kj, "99.9 %"_kj};

// Seconds within which each share of the calls was answered.
using Answered = kj::FixedArray<double, SHARES>;

NodeOptions manyCells() {
  NodeOptions options;
  options.cell.descendants = options.cell.held = kj::maxValue;
  return options;
}

// ------------------------------------------------------------------------------------ a client

double secondsNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

// On a thread of its own, at each whole millisecond at which the last call has been answered: how
// long each took. Nothing that the node does delays its beginning.
kj::Vector<double> callInTime(int socket) {
  constexpr double PERIOD = 1e-3;
  kj::Vector<double> all;
  for (kj::uint i = 0; i < CALLS; i++) {
    auto due = (floor(secondsNow() / PERIOD) + 1) * PERIOD;
    timespec until{time_t(due), long((due - double(time_t(due))) * 1e9)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
    kj::byte byte = 'x';
    KJ_ASSERT(write(socket, &byte, 1) == 1 && read(socket, &byte, 1) == 1);
    all.add(secondsNow() - due);
  }
  return all;
}

// Each byte of the client's goes to a cell, and comes back from it.
kj::Promise<void> serve(kj::AsyncIoStream& client, ByteStream::Client in, ByteStream::Client out) {
  kj::byte byte;
  while (co_await client.tryRead(&byte, 1, 1) > 0) {
    auto write = in.writeRequest();
    write.setData(kj::arrayPtr(&byte, 1));
    auto written = write.send().ignoreResult();
    auto read = out.readRequest();
    read.setMaxBytes(1);
    co_await read.send();
    co_await written;
    co_await client.write(&byte, 1);
  }
}

Answered answeredClient(TestNode& node) {
  int fds[2];
  KJ_SYSCALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  auto served = node.io.lowLevelProvider->wrapSocketFd(
      fds[0], kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP);
  auto process = node.run("cell-plain", {"cat"});
  kj::Vector<double> all;
  {
    kj::Thread client([&all, fd = kj::AutoCloseFd(fds[1])]() { all = callInTime(fd); });
    serve(*served, TestNode::stdin(process), TestNode::stdout(process)).wait(node.waitScope);
  }
  process.killRequest().send().wait(node.waitScope);
  std::sort(all.begin(), all.end());
  auto at = [&](size_t permille) { return all[(all.size() - 1) * permille / 1000]; };
  Answered answered;
  answered[0] = at(500);
  answered[1] = at(990);
  answered[2] = at(999);
  return answered;
}

// ------------------------------------------------------------------------------------ a guest

Answered answeredGuest(TestNode& node) {
  auto outcome = node.runToEnd("cell-bench", {"paced", kj::str(CALLS)});
  KJ_ASSERT(outcome.code == 0, outcome.err);
  Answered answered;
  for (size_t i = 0; i < SHARES; i++) answered[i] = number(outcome.out, i) * 1e-9;
  return answered;
}

void compare(Report& report, kj::StringPtr name, const Answered& busy, const Answered& quiet,
             bool hasTarget) {
  for (size_t i = 0; i < SHARES; i++) {
    Target target;
    if (hasTarget && i == 1) target = {Target::Of::MOST, 2e-3};  // two slices
    report.add(time(kj::str(name, ", ", NAMES[i], " within"), Round{busy[i], quiet[i]}, "alone",
                    target));
  }
}

void benchBeside(Report& report) {
  TestNode node(manyCells());
  auto spinner = component("cell-plain");
  node.runToEnd("cell-bench", {"paced", "1"});  // its code is there before anything competes
  auto guest = answeredGuest(node), client = answeredClient(node);
  kj::Vector<Process::Client> loops;
  auto beside = [&](kj::uint count, kj::StringPtr name) {
    while (loops.size() < count) loops.add(node.run(spinner, {"spin"}));
    compare(report, kj::str("1 kHz, guest -> host echo beside ", name), answeredGuest(node), guest,
            false);
    compare(report, kj::str("1 kHz, client -> cell -> client beside ", name),
            answeredClient(node), client, count == 1);
  };
  beside(1, "one loop");
  beside(1000, "1000 loops");
}

// ------------------------------------------------------------------------------------ a crowd

// Seconds a call where so many cells call without a pause, so often in all.
double crowdEcho(TestNode& node, kj::ArrayPtr<const kj::byte> wasm, kj::uint cells,
                 kj::uint calls) {
  kj::Vector<Process::Client> processes;
  for (kj::uint i = 0; i < cells; i++) {
    auto process = node.run(wasm, {"crowd", kj::str(calls / cells)});
    KJ_ASSERT(node.read(TestNode::stdout(process), 16).size() > 0);
    processes.add(kj::mv(process));
  }
  return timed([&]() {
    for (auto& process: processes) node.close(TestNode::stdin(process));
    for (auto& process: processes) KJ_ASSERT(node.wait(process) == 0);
  }) / calls;
}

void benchCrowd(Report& report) {
  constexpr kj::uint MANY = 1000, CALLS = 200'000;
  TestNode node(manyCells());
  auto wasm = component("cell-bench");
  Rounds rounds;
  for (int i = 0; i < 3; i++) {
    rounds.turn([&]() { return crowdEcho(node, wasm, MANY, CALLS); },
                [&]() { return crowdEcho(node, wasm, 1, CALLS); });
  }
  report.add(time(kj::str("a call of the host, ", MANY, " cells busy with calls"),
                  rounds.median(0, 1), "one cell busy", {Target::Of::TIMES, 2}));
}

}  // namespace

void benchBusy(Report& report) {
  benchBeside(report);
  benchCrowd(report);
}

void benchKill(Report& report) {
  TestNode node;
  kj::Vector<double> trials;
  for (int i = 0; i < 3 * TRIALS; i++) {
    auto process = node.run("cell-plain", {"spin"});
    KJ_ASSERT(node.read(node.stdout(process), 16).size() > 0);
    trials.add(timed([&]() {
      process.killRequest().send().wait(node.waitScope);
      KJ_ASSERT(node.wait(process) == EXIT_KILLED);
    }));
  }
  report.add(time(kj::str("kill of a busy cell, until wait answers"),
                  Round{middle(trials), 1e-3}, "one tick", {Target::Of::MOST, 1e-3}));
}

}  // namespace ww::bench
