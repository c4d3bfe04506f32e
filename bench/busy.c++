// A cell that calls its host a thousand times a second, alone and beside cells that loop for ever;
// a thousand cells that call without a pause; and what it takes to end one that loops.
#include <kj/debug.h>
#include <test-node.h>
#include "bench.h"
#include "child.h"

namespace ww::bench {
namespace {

constexpr kj::uint CALLS = 3000;
constexpr size_t SHARES = 3;
constexpr kj::StringPtr NAMES[SHARES] = {"half"_kj, "99 %"_kj, "99.9 %"_kj};

// Seconds within which each share of the calls was answered: from when it was sent, and from when
// it was due.
struct Answered {
  double sent[SHARES], due[SHARES];
};

NodeOptions manyCells() {
  NodeOptions options;
  options.cell.descendants = options.cell.held = kj::maxValue;
  return options;
}

class Busy {
 public:
  Busy() {
    // Its code is there before anything competes for the loop.
    node.runToEnd("cell-bench", {"paced", "1"});
  }

  void loopsUpTo(kj::uint count) {
    while (loops.size() < count) loops.add(node.run(spinner, {"spin"}));
  }

  Answered measure() {
    auto outcome = node.runToEnd("cell-bench", {"paced", kj::str(CALLS)});
    KJ_ASSERT(outcome.code == 0, outcome.err);
    Answered answered;
    for (size_t i = 0; i < SHARES; i++) {
      answered.sent[i] = number(outcome.out, i) * 1e-9;
      answered.due[i] = number(outcome.out, SHARES + i) * 1e-9;
    }
    return answered;
  }

 private:
  const kj::Array<kj::byte> spinner = component("cell-plain");
  TestNode node{manyCells()};
  kj::Vector<Process::Client> loops;
};

void compare(Report& report, kj::StringPtr beside, const Answered& busy, const Answered& quiet) {
  for (size_t i = 0; i < SHARES; i++) {
    report.add(time(kj::str("1 kHz echo beside ", beside, ", from sent, ", NAMES[i], " within"),
                    Round{busy.sent[i], quiet.sent[i]}, "alone"));
  }
  for (size_t i = 0; i < SHARES; i++) {
    Target target;
    if (i == 1) target = {Target::Of::MOST, 2e-3};  // two slices
    report.add(time(kj::str("1 kHz echo beside ", beside, ", from due, ", NAMES[i], " within"),
                    Round{busy.due[i], quiet.due[i]}, "alone", target));
  }
}

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
  {
    Busy busy;
    auto alone = busy.measure();
    busy.loopsUpTo(1);
    compare(report, "one that loops", busy.measure(), alone);
    busy.loopsUpTo(1000);
    compare(report, "1000 that loop", busy.measure(), alone);
  }
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
