// What a node's further loops are worth: the same work on one loop, and on as many as there are
// cores. Beside it, what the machine itself gives to as many threads that share nothing.

#include <kj/debug.h>
#include <kj/thread.h>
#include <stdlib.h>
#include <thread>
#include "bench.h"
#include "test-node.h"

namespace ww::bench {
namespace {

constexpr int ROUNDS = 5;

kj::uint cores() { return kj::max(std::thread::hardware_concurrency(), 1u); }

// A node of so many loops, with a cell on each that does what it is told, all of them at once.
class Loops {
 public:
  explicit Loops(kj::uint count): count(count), node(optionsFor(count)) {}

  // Of all cells together, so many a second: each says how many nanoseconds one takes it.
  double perSecond(kj::ArrayPtr<const kj::byte> input, Words args) {
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
    kj::joinPromises(written.releaseAsArray()).wait(node.waitScope);
    double sum = 0;
    for (auto& cell: cells) {
      sum += 1e9 / strtod(node.readAll(TestNode::stdout(cell)).cStr(), nullptr);
      KJ_ASSERT(node.wait(cell) == 0);
    }
    return sum;
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

// Echoes a second of so many threads together, each with both ends of a connection of its own.
double nativePerSecond(kj::uint threads) {
  constexpr kj::uint CALLS = 150'000;
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
  return sum;
}

// Rates on one loop and on all, in turn.
struct Pair {
  double one, all;
};

Pair middle(kj::FunctionParam<Pair()> measure) {
  kj::Vector<Round> rounds;
  for (int i = 0; i < ROUNDS; i++) {
    auto pair = measure();
    rounds.add(Round{pair.all, pair.one});
  }
  auto round = median(rounds);
  return {round.ceiling, round.value};
}

void print(kj::StringPtr what, kj::uint threads, Pair pair) {
  bench::print(kj::str(what, ", ", threads, " loops"), perSecond(1 / pair.all), "one loop",
               perSecond(1 / pair.one), ratio(pair.all / pair.one));
}

}  // namespace

void benchThreads() {
  auto threads = cores();
  Loops one(1), all(threads);
  auto bare = component("bare-ok");
  auto input = bare.asPtr();
  auto on = [&](Words args) {
    return middle([&]() { return Pair{one.perSecond(input, args), all.perSecond(input, args)}; });
  };
  auto native = middle([&]() { return Pair{nativePerSecond(1), nativePerSecond(threads)}; });
  bench::print(kj::str("native echo, 64 in flight, ", threads, " threads"),
               perSecond(1 / native.all), "one thread", perSecond(1 / native.one),
               ratio(native.all / native.one));
  print("guest -> host echo, 1 in flight", threads, on({"bench-echo", "100000", "1", "16"}));
  print("guest -> host echo, 64 in flight", threads, on({"bench-echo", "150000", "64", "16"}));
  print("spawn -> exit, one at a time", threads, on({"bench-spawn", "3000", "1"}));
  print("spawn -> exit, 8 at a time", threads, on({"bench-spawn", "5000", "8"}));
}

}  // namespace ww::bench
