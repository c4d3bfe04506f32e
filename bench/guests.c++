// A guest's calls of another, which it has started: a call crosses the host twice. And a graft.
#include <kj/debug.h>
#include <test-node.h>
#include "bench.h"
#include "child.h"

namespace ww::bench {
namespace {

struct Shape {
  kj::uint inFlight;
  size_t bytes;
  kj::uint calls;
};

constexpr Shape SHAPES[] = {{1, 16, 5000}, {64, 16, 20000}, {1, 1024, 5000}, {64, 1024, 10000},
                            {1, 65536, 500}, {64, 65536, 1000}};

// What a parent says, once it has been given its component, of itself and its child.
double parentSays(TestNode& node, kj::ArrayPtr<const kj::byte> wasm, kj::StringPtr mode,
                  Shape shape) {
  auto process = node.run(wasm, {mode, kj::str(shape.calls), kj::str(shape.inFlight),
                                 kj::str(shape.bytes)});
  auto in = node.stdin(process);
  node.write(in, wasm).wait(node.waitScope);
  node.close(in);
  auto said = node.readAll(node.stdout(process));
  auto code = node.wait(process);
  KJ_ASSERT(code == 0, node.readAll(node.stderr(process)));
  return number(said) * 1e-9;
}

double echoOfHost(TestNode& node, Shape shape) {
  auto outcome = node.runToEnd("cell-rpc", {"bench-echo", kj::str(shape.calls),
                                            kj::str(shape.inFlight), kj::str(shape.bytes)});
  KJ_ASSERT(outcome.code == 0, outcome.err);
  return number(outcome.out) * 1e-9;
}

// A pid0's nanoseconds a graft, and an echo.
struct Graft {
  double graft, echo;
};
Graft runGraft(TestNode& node, kj::uint grafts = 2000, kj::uint echoes = 2000) {
  auto args = kj::heapArrayBuilder<kj::String>(3);
  args.add(kj::str("bench-graft"));
  args.add(kj::str(grafts));
  args.add(kj::str(echoes));
  auto cell = node.node.boot(component("cell-sessions"), args.finish(), nullptr)
      .wait(node.waitScope);
  auto said = cell->getStdout().takeStream()->readAllText().wait(node.waitScope);
  KJ_ASSERT(cell->wait().wait(node.waitScope) == 0);
  return {number(said) * 1e-9, number(said, 1) * 1e-9};
}

}  // namespace

Again repeatGrafts() {
  constexpr kj::uint GRAFTS = 50'000;
  TestNode node;
  return again([&]() {
    runGraft(node, GRAFTS, 1);
    return GRAFTS;
  });
}

void benchGuests(Report& report) {
  TestNode node;
  auto wasm = component("cell-bench");
  for (auto shape: SHAPES) {
    Rounds rounds;
    for (int i = 0; i < TRIALS; i++) {
      rounds.turn([&]() { return parentSays(node, wasm, "pipes", shape); },
                  [&]() { return parentSays(node, wasm, "capability", shape); },
                  [&]() { return echoOfHost(node, shape); });
    }
    auto name = kj::str("guest -> guest echo, ", shape.inFlight, " in flight, ", shape.bytes,
                        " B");
    report.add(rate(kj::str(name, ", pipes"), rounds.median(0, 2, 2), "two echoes of the host"));
    report.add(rate(kj::str(name, ", capability"), rounds.median(1, 2, 2),
                    "two echoes of the host"));
  }
}

void benchGraft(Report& report) {
  TestNode node;
  kj::Vector<Round> rounds;
  for (int i = 0; i < TRIALS; i++) {
    auto [graft, echo] = runGraft(node);
    rounds.add(Round{graft, echo});
  }
  report.add(time(kj::str("graft()"), median(rounds), "one echo", {Target::Of::TIMES, 2}));
}

}  // namespace ww::bench
