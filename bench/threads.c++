// What a node's further loops are worth: the same work on one loop, and on as many as there are
// cores. Beside it, what the machine itself gives to as many threads that share nothing.
//
// Each is told a second time, by the time of the processor that it took: whether a call costs more
// for the other loops. That shows no loop which waits, so the target is of the first alone.

#include <kj/debug.h>
#include <kj/thread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <thread>
#include "bench.h"
#include "test-node.h"

namespace ww::bench {
namespace {

constexpr int ROUNDS = 5;

kj::uint cores() { return kj::max(std::thread::hardware_concurrency(), 1u); }

// Of all threads of this process, in seconds.
double processorTime() {
  struct rusage usage;
  KJ_SYSCALL(getrusage(RUSAGE_SELF, &usage));
  auto seconds = [](const timeval& time) { return time.tv_sec + time.tv_usec * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// So many a second, of all threads together: as it was, and if each had a core of its own.
struct Rates {
  double told, free;
};

// A node of so many loops, with a cell on each that does what it is told, all of them at once.
class Loops {
 public:
  explicit Loops(kj::uint count): count(count), node(optionsFor(count)) {}

  // Each cell says how many nanoseconds one took it.
  Rates run(kj::ArrayPtr<const kj::byte> input, Words args) {
    auto calls = count * strtod(args.begin()[1].cStr(), nullptr);
    auto wasm = component("cell-rpc");
    kj::Vector<Process::Client> cells;
    for (kj::uint i = 0; i < count; i++) {
      cells.add(node.run(wasm, args));
      KJ_ASSERT(loopOf(cells.back()) == i);
    }
    kj::Vector<kj::Promise<void>> written;
    for (auto& cell: cells) {
      auto stdin = TestNode::stdin(cell);
      written.add(node.write(stdin, input).then([stdin]() mutable {
        return stdin.closeRequest().send().ignoreResult();
      }));
    }
    auto before = processorTime();
    kj::joinPromises(written.releaseAsArray()).wait(node.waitScope);
    double sum = 0;
    // None ends before the last has said it: its loop would be the one with the fewest cells.
    for (auto& cell: cells) {
      auto line = kj::str(node.read(TestNode::stdout(cell), 64).asChars());
      sum += 1e9 / strtod(line.cStr(), nullptr);
    }
    Rates rates{sum, count * calls / (processorTime() - before)};
    for (auto& cell: cells) cell.killRequest().send().wait(node.waitScope);
    return rates;
  }

 private:
  const kj::uint count;
  TestNode node;

  static NodeOptions optionsFor(kj::uint threads) {
    NodeOptions options;
    options.threads = threads;
    return options;
  }
  kj::uint loopOf(Process::Client cell) {
    auto info = cell.infoRequest().send().wait(node.waitScope);
    return KJ_ASSERT_NONNULL(node.node.getCells().find(info.getInfo().getId()))->getFacts().loop;
  }
};

// Echoes of so many threads, each with both ends of a connection of its own.
Rates runNative(kj::uint threads) {
  constexpr kj::uint CALLS = 150'000;
  auto before = processorTime();
  auto rates = kj::heapArray<double>(threads);
  {
    kj::Vector<kj::Own<kj::Thread>> all;
    for (auto& rate: rates) {
      all.add(kj::heap<kj::Thread>([&rate]() {
        kj::EventLoop loop;
        kj::WaitScope waitScope(loop);
        rate = 1 / nativeEcho(waitScope, CALLS, 64, 16);
      }));
    }
  }
  double sum = 0;
  for (auto rate: rates) sum += rate;
  return {sum, threads * threads * CALLS / (processorTime() - before)};
}

// On one and on all, in turn.
void compare(Report& report, kj::StringPtr what, kj::StringPtr of, Target target,
             kj::FunctionParam<Rates(kj::uint)> run) {
  auto all = cores();
  kj::Vector<Round> told, free;
  for (int i = 0; i < ROUNDS; i++) {
    auto one = run(1), many = run(all);
    told.add(Round{1 / many.told, 1 / one.told});
    free.add(Round{1 / many.free, 1 / one.free});
  }
  auto line = [&](kj::StringPtr how, Round round, Target target) {
    report.add(rate(kj::str(what, ", ", all, ' ', of, 's', how), round, kj::str("one ", of),
                    target));
  };
  line("", median(told), target);
  line(" (cpu)", median(free), {});
}

}  // namespace

Again repeatSpawnsOnAll() {
  constexpr kj::uint EACH = 20'000;
  auto bare = component("bare-ok");
  return again([&]() {
    Loops(cores()).run(bare, {"bench-spawn", kj::str(EACH), "8"});
    return cores() * EACH;
  });
}

void benchThreads(Report& report) {
  auto bare = component("bare-ok");
  auto on = [&](kj::StringPtr what, Words args) {
    compare(report, what, "loop", {Target::Of::PART, 1.85},
            [&](kj::uint loops) { return Loops(loops).run(bare, args); });
  };
  compare(report, "native echo, 64 in flight", "thread", {}, runNative);
  on("guest -> host echo, 1 in flight", {"bench-echo", "100000", "1", "16"});
  on("guest -> host echo, 64 in flight", {"bench-echo", "150000", "64", "16"});
  on("spawn -> exit, 1 at a time", {"bench-spawn", "3000", "1"});
  on("spawn -> exit, 8 at a time", {"bench-spawn", "5000", "8"});
}

}  // namespace ww::bench
