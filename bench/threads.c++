// What a node's further loops are worth: the same work on one loop, and on as many as there are
// cores, each in a process of its own, as a node is. Beside it, what the machine itself gives to as
// many nodes of one loop, in processes that share nothing, and to threads likewise; and how long a
// word takes from core to core, which is what sharing costs.
//
// Each is told a second time, by the time of the processor that it took: whether a call costs more
// for the other loops. That shows no loop which waits, so the target is of the first alone.

#include <atomic>
#include <kj/debug.h>
#include <kj/thread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <thread>
#include "bench.h"
#include "child.h"
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

  // Each cell has `input` on its stdin, and says how many nanoseconds one took it.
  Rates run(kj::ArrayPtr<const kj::byte> input, kj::ArrayPtr<const kj::StringPtr> args) {
    auto calls = count * strtod(args[1].cStr(), nullptr);
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

// Of a line.
Rates readRates(kj::StringPtr line) { return {number(line), number(line, 1)}; }

class LoopsProcess {
 public:
  LoopsProcess(kj::uint loops, kj::ArrayPtr<const kj::StringPtr> args)
      : child(wordsOf(kj::str(loops), args)) {}

  void begin() { child.tell("go\n"); }
  Rates end() { return readRates(child.readLine()); }
  Rates run() {
    begin();
    return end();
  }

 private:
  Child child;

  static kj::Array<kj::StringPtr> wordsOf(kj::StringPtr loops,
                                           kj::ArrayPtr<const kj::StringPtr> args) {
    kj::Vector<kj::StringPtr> words;
    for (kj::StringPtr word: {"/proc/self/exe"_kj, "--loops"_kj, loops}) words.add(word);
    words.addAll(args);
    return words.releaseAsArray();
  }
};

// Seconds from one core to another, of a word that both write by turns.
double coreToCore() {
  constexpr kj::uint TURNS = 100'000;
  struct alignas(128) Word {
    std::atomic<kj::uint> turn{0};
  } word;
  auto play = [&](kj::uint side) {
    for (kj::uint i = side; i < 2 * TURNS; i += 2) {
      while (word.turn.load(std::memory_order_acquire) != i) {}
      word.turn.store(i + 1, std::memory_order_release);
    }
  };
  return timed([&]() {
    kj::Thread other([&]() { play(1); });
    play(0);
  }) / (2 * TURNS);
}

void addRates(Report& report, kj::String what, kj::StringPtr of, Target target,
              kj::ArrayPtr<const Rates> values, kj::ArrayPtr<const Rates> ones) {
  auto line = [&](kj::StringPtr how, double Rates::*rate_, Target target) {
    kj::Vector<Round> rounds;
    for (size_t i = 0; i < ones.size(); i++) {
      rounds.add(Round{1 / (values[i].*rate_), 1 / (ones[i].*rate_)});
    }
    report.add(rate(kj::str(what, how), median(rounds), kj::str("one ", of), target));
  };
  line("", &Rates::told, target);
  line(" (cpu)", &Rates::free, {});
}

// On one and on all, in turn; and on one loop in as many processes, at once.
void compareLoops(Report& report, kj::StringPtr what, Target target,
                  kj::ArrayPtr<const kj::StringPtr> args) {
  auto all = cores();
  LoopsProcess one(1, args), many(all, args);
  kj::Vector<kj::Own<LoopsProcess>> apart;
  for (kj::uint i = 0; i < all; i++) apart.add(kj::heap<LoopsProcess>(1, args));
  kj::Vector<Rates> ones, manys, aparts;
  for (int i = 0; i < ROUNDS; i++) {
    ones.add(one.run());
    manys.add(many.run());
    for (auto& each: apart) each->begin();
    Rates sum{0, 0};
    for (auto& each: apart) {
      auto rates = each->end();
      sum = {sum.told + rates.told, sum.free + rates.free};
    }
    aparts.add(sum);
  }
  addRates(report, kj::str(what, ", ", all, " loops"), "loop", target, manys, ones);
  addRates(report, kj::str(what, ", ", all, " processes"), "loop", {}, aparts, ones);
}

void compareThreads(Report& report) {
  kj::Vector<Rates> ones, manys;
  for (int i = 0; i < ROUNDS; i++) {
    ones.add(runNative(1));
    manys.add(runNative(cores()));
  }
  addRates(report, kj::str("native echo, 64 in flight, ", cores(), " threads"), "thread", {},
           manys, ones);
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

void serveLoops(kj::uint count, kj::ArrayPtr<const kj::StringPtr> words) {
  auto input = component(words[0]);
  auto args = words.slice(1, words.size());
  Loops loops(count);
  char line[8];
  while (fgets(line, sizeof(line), stdin) != nullptr) {
    auto rates = loops.run(input, args);
    printf("%f %f\n", rates.told, rates.free);
    fflush(stdout);
  }
}

void benchThreads(Report& report) {
  report.add(Figure{kj::str("a word from core to core"), Unit::SECONDS, best(coreToCore)});
  compareThreads(report);
  constexpr Target TARGET{Target::Of::PART, 1.85};
  compareLoops(report, "guest -> host echo, 1 in flight", TARGET,
               {"bare-ok", "bench-echo", "100000", "1", "16"});
  compareLoops(report, "guest -> host echo, 64 in flight", TARGET,
               {"bare-ok", "bench-echo", "150000", "64", "16"});
  compareLoops(report, "spawn -> exit, 1 at a time", TARGET,
               {"bare-ok", "bench-spawn", "10000", "1"});
  compareLoops(report, "spawn -> exit, 8 at a time", TARGET,
               {"bare-ok", "bench-spawn", "10000", "8"});
  compareLoops(report, "spawn -> calls -> exit, 8 at a time", {},
               {"child-echo", "bench-spawn", "2000", "8"});
  report.add(Figure{kj::str("a word from core to core, afterwards"), Unit::SECONDS,
                    best(coreToCore)});
}

}  // namespace ww::bench
