// A cell that calls its host a thousand times a second, alone and beside cells that loop for ever;
// and what it takes to end one of those.
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

class Busy {
 public:
  Busy() {
    // Its code is there before anything competes for the loop.
    node.runToEnd("cell-bench", {"paced", "1"});
  }

  void loopsUpTo(kj::uint count) {
    for (; loops.size() < count;) loops.add(node.run(spinner, {"spin"}));
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

  static NodeOptions options() {
    NodeOptions options;
    options.cell.descendants = options.cell.held = kj::maxValue;
    return options;
  }

 private:
  const kj::Array<kj::byte> spinner = component("cell-plain");
  TestNode node{options()};
  kj::Vector<Process::Client> loops;
};

void compare(Report& report, kj::StringPtr beside, const Answered& busy, const Answered& quiet,
             kj::StringPtr ceiling) {
  for (size_t i = 0; i < SHARES; i++) {
    report.add(time(kj::str("1 kHz echo beside ", beside, ", ", NAMES[i], " within"),
                    Round{busy.sent[i], quiet.sent[i]}, ceiling));
  }
  for (size_t i = 0; i < SHARES; i++) {
    Target target;
    if (i == 1) target = {Target::Of::MOST, 2e-3};  // two slices
    report.add(time(kj::str("the same, of when it was due, ", NAMES[i]),
                    Round{busy.due[i], quiet.due[i]}, ceiling, target));
  }
}

}  // namespace

void benchBusy(Report& report) {
  Busy busy;
  auto alone = busy.measure();
  busy.loopsUpTo(1);
  auto one = busy.measure();
  busy.loopsUpTo(1000);
  auto thousand = busy.measure();
  compare(report, "one that loops", one, alone, "alone");
  compare(report, "1000 that loop", thousand, alone, "alone");
  report.add(time(kj::str("a hop with 1000 cells busy, half within"),
                  Round{thousand.sent[0], one.sent[0]}, "with one", {Target::Of::TIMES, 2}));
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
