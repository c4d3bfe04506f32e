// What cells take that have said something over RPC and now wait: memory, as the kernel counts
// it, and processor time.
#include <kj/debug.h>
#include <thread>
#include <test-node.h>
#include "bench.h"
#include "proc.h"

namespace ww::bench {
namespace {

constexpr kj::uint STEPS[] = {1, 1000, 10'000};
constexpr double FOUR_GIB = double(uint64_t(4) << 30);

NodeOptions roomFor(kj::uint cells) {
  NodeOptions options;
  options.engine.maxGuests = cells + 10;
  options.threads = kj::max(std::thread::hardware_concurrency(), 1u);
  options.cell.descendants = options.cell.held = kj::maxValue;
  return options;
}

class Idle {
 public:
  // Starts more of them, up to so many.
  void fill(kj::uint count) {
    while (processes.size() < count) {
      auto process = node.run(wasm, {"idle"});
      KJ_ASSERT(node.read(TestNode::stdout(process), 16).size() > 0);
      processes.add(kj::mv(process));
    }
  }

  size_t count() const { return processes.size(); }

  void end() {
    while (!processes.empty()) {
      processes.back().killRequest().send().wait(node.waitScope);
      processes.removeLast();
    }
  }

  void rest(kj::Duration time) {
    node.io.provider->getTimer().afterDelay(time).wait(node.waitScope);
  }

  // Of a core, while nothing happens.
  double percentBusy() {
    constexpr int SECONDS = 5;
    auto before = processorSeconds();
    rest(SECONDS * kj::SECONDS);
    return (processorSeconds() - before) / SECONDS * 100;
  }

  // The engine and the code are there.
  void warmUp() { node.runToEnd("cell-rpc", {"echo", "warm"}); }

 private:
  const kj::Array<kj::byte> wasm = component("cell-rpc");
  TestNode node{roomFor(STEPS[2])};
  kj::Vector<Process::Client> processes;
};

struct Held {
  kj::uint count = 0;
  double all = 0, own = 0;  // bytes: theirs, and of it their linear memories
};

void addMemory(Report& report, Held held) {
  Target target;
  if (held.count > 1) target = {Target::Of::MOST, 128.0 * 1024};
  report.add({kj::str("an idle cell with its RPC, at ", held.count), Unit::BYTES,
              held.all / held.count,
              Ceiling{kj::str("its linear memory, resident"), held.own / held.count, Unit::BYTES},
              target});
}

void addTogether(Report& report, Held held) {
  if (held.count == STEPS[2]) {
    report.add({kj::str(held.count, " idle cells"), Unit::BYTES, held.all,
                Ceiling{kj::str("their linear memories, resident"), held.own, Unit::BYTES},
                {Target::Of::MOST, 1.5 * (1 << 30)}});
  }
  report.add({kj::str("cells in 4 GiB"), Unit::COUNT, FOUR_GIB / (held.all / held.count),
              Ceiling{kj::str("as many linear memories"), FOUR_GIB / (held.own / held.count),
                      Unit::COUNT},
              {}, nullptr, kj::str(" (extrapolated from ", held.count, ")")});
}

}  // namespace

void benchIdle(Report& report) {
  Idle idle;
  idle.warmUp();
  auto before = residentBytes(), linear = linearBytes();
  Held held;
  for (auto count: STEPS) {
    auto failure = kj::runCatchingExceptions([&]() { idle.fill(count); });
    KJ_IF_MAYBE(exception, failure) {
      report.cannot(kj::str("an idle cell with its RPC, at ", count),
                    kj::str("at ", idle.count(), ": ", exception->getDescription()));
      break;
    }
    held = {count, residentBytes() - before, kj::max(linearBytes() - linear, 4096.0)};
    addMemory(report, held);
  }
  addTogether(report, held);
  auto count = idle.count();
  report.add({kj::str(count, " idle cells, for 5 s"), Unit::PERCENT, idle.percentBusy(),
              Ceiling{kj::str("none"), 0, Unit::COUNT}, {Target::Of::MOST, 0.1}});
  idle.end();
  idle.rest(10 * kj::SECONDS);
  report.add({kj::str("what ", count, " cells leave, 10 s after their end"), Unit::BYTES,
              kj::max(residentBytes() - before, 0.0),
              Ceiling{kj::str("what they had"), held.all, Unit::BYTES}, {}});
}

}  // namespace ww::bench
