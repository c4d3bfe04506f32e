// Cells that compute without end, or wait without end, or overflow their stacks.
#include "campaign.h"

namespace ww {
namespace {

uint64_t cpuNsOf(TestNode& node, Process::Client process) {
  return process.infoRequest().send().wait(node.waitScope).getInfo().getCpuNs();
}

struct Loops {
  TestNode& node;
  kj::Vector<Process::Client> cells;

  // Each in another place. Those that loop before `run` never have it entered: their call waits.
  void start(kj::uint count) {
    constexpr kj::StringPtr KINDS[] = {"cell-plain"_kj, "bare-spin-at-start"_kj,
                                       "bombs-spin-in-realloc"_kj};
    for (kj::uint i = 0; i < count; i++) {
      auto request = node.executor.runBytesRequest();
      auto wasm = component(KINDS[i % 3]);
      request.setWasm(wasm);
      request.initArgs(1).set(0, "spin");
      cells.add(request.send().getProcess());
    }
  }

  void expectEnd(int32_t code) {
    for (auto& cell: cells) KJ_EXPECT(node.wait(cell) == code);
  }
};

KJ_TEST("20 loops, in run, in the start and where room is asked for, end by their budget") {
  SteadyClock cpu;
  NodeOptions options;
  options.engine.cpuClock = cpu;
  options.cell.cpu = 50 * kj::MILLISECONDS;
  options.cell.instantiation = 1 * kj::HOURS;
  TestNode node(options);
  kj::uint rounds = 0;
  campaign("loops", node, [&]() {
    Loops loops{node, {}};
    loops.start(20);
    loops.expectEnd(EXIT_TIMEOUT);
    KJ_EXPECT(node.node.getHits().count(LimitKind::CPU) >= 20 * ++rounds);
    for (auto& cell: loops.cells) KJ_EXPECT(cpuNsOf(node, cell) == 50'000'000);
    // Below its budget.
    KJ_EXPECT(node.runToEnd("cell-plain", {"args"}).code == 0);
  }, true);
}

// What loops compute between two answers of a victim: what it waits for.
kj::uint slicesBetweenAnswers(kj::uint loopCount) {
  SteadyClock cpu;
  NodeOptions options;
  options.engine.cpuClock = cpu;
  options.cell.instantiation = 1 * kj::HOURS;
  TestNode node(options);
  Loops loops{node, {}};
  loops.start(loopCount);
  node.untilGuests(loopCount);
  Victim victim(node);
  auto paf = kj::newPromiseAndFulfiller<void>();
  uint64_t last = 0;
  kj::uint worst = 0;
  victim.onServed([&]() {
    auto polls = node.node.getEngine().pollCount();
    if (victim.getServed() > 100) worst = kj::max(worst, kj::uint(polls - last));
    last = polls;
    if (victim.getServed() == 20'000) paf.fulfiller->fulfill();
  });
  paf.promise.wait(node.waitScope);
  return worst;
}

KJ_TEST("what a victim waits for does not grow with the loops beside it") {
  auto alone = slicesBetweenAnswers(0), few = slicesBetweenAnswers(2),
       many = slicesBetweenAnswers(20);
  say(kj::str("turns of guests between two answers: ", alone, " alone, ", few, " beside 2 loops, ",
              many, " beside 20"));
  KJ_EXPECT(few <= alone + 2 && many <= alone + 2, alone, few, many);
}

KJ_TEST("loops beside a victim that never rests go on, and share alike") {
  SteadyClock cpu;
  NodeOptions options;
  options.engine.cpuClock = cpu;
  TestNode node(options);
  kj::Vector<Process::Client> loops;
  for (int i = 0; i < 20; i++) loops.add(node.run("cell-plain", {"spin"}));
  auto computed = [&]() { return KJ_MAP(loop, loops) { return cpuNsOf(node, loop); }; };
  auto before = computed();
  Victim victim(node);
  uint64_t least = 0, most = 0;
  while (least < 3'000'000) {
    auto now = computed();
    least = kj::maxValue;
    for (size_t i = 0; i < now.size(); i++) {
      least = kj::min(least, now[i] - before[i]);
      most = kj::max(most, now[i] - before[i]);
    }
  }
  say(kj::str("20 loops computed ", least / 1'000'000, " to ", most / 1'000'000,
              " ms each, beside ", victim.getServed(), " answers"));
  KJ_EXPECT(most - least <= 2'000'000, most, least);
}

KJ_TEST("200 cells that wait for an hour end when their time is over, and not before") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  NodeOptions options;
  options.cell.wall = 10 * kj::SECONDS;
  options.cell.descendants = 400;
  TestNode node(options, timer);
  kj::uint rounds = 0;
  campaign("blocked for an hour", node, [&]() {
    kj::Vector<Process::Client> cells;
    for (int i = 0; i < 200; i++) cells.add(node.run("cell-plain", {"sleep", "3600000"}));
    auto before = node.node.getHits().count(LimitKind::WALL);
    timer.advanceTo(timer.now() + 9999 * kj::MILLISECONDS);
    KJ_EXPECT(node.answers() && node.node.getHits().count(LimitKind::WALL) == before);
    timer.advanceTo(timer.now() + 1 * kj::MILLISECONDS);
    for (auto& cell: cells) KJ_EXPECT(node.wait(cell) == EXIT_TIMEOUT);
    KJ_EXPECT(node.node.getHits().count(LimitKind::WALL) >= 200 * ++rounds);
  }, true);
}

KJ_TEST("10,000 stacks that overflow, directly and in what the host calls, are traps") {
  TestNode node;
  uint64_t expected = 0;
  campaign("stacks", node, [&]() {
    for (int i = 0; i < 2500; i++) {
      KJ_EXPECT(node.wait(node.run("bombs-recurse", {})) == EXIT_TRAP);
      KJ_EXPECT(node.wait(node.run("bombs-recurse-in-realloc", {"x"})) == EXIT_TRAP);
    }
    expected += 5000;
    KJ_EXPECT(node.node.getHits().count(LimitKind::STACK) == expected);
  });
}

}  // namespace
}  // namespace ww
