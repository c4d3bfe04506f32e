// What a cell may have, of the machine and of cells: each limit with somebody who stays below it,
// and a cell that is served all the while.
#include <kj/test.h>
#include "test-node.h"

namespace ww {
namespace {

// A turn of a cell takes a millisecond.
class SteadyClock final: public ffi::CpuClock {
 public:
  void begin() override {}
  uint64_t endNs() override { return 1'000'000; }
};

struct Victim {
  TestNode& node;
  Process::Client process = node.run("cell-plain", {"cat"});
  ByteStream::Client in = TestNode::stdin(process), out = TestNode::stdout(process);

  bool answers() {
    node.write(in, "there?"_kj.asBytes()).wait(node.waitScope);
    return node.read(out, 100) == "there?"_kj.asBytes();
  }
};

auto infoOf(TestNode& node, Process::Client process) {
  return process.infoRequest().send().wait(node.waitScope);
}

KJ_TEST("who has computed for too long ends with 124; who waits does not") {
  SteadyClock cpu;
  NodeOptions options;
  options.engine.cpuClock = cpu;
  options.cell.cpu = 200 * kj::MILLISECONDS;
  TestNode node(options);
  Victim victim{node};
  auto spin = node.run("cell-plain", {"spin"});
  KJ_EXPECT(node.wait(spin) == EXIT_TIMEOUT);
  auto response = infoOf(node, spin);
  auto info = response.getInfo();
  KJ_EXPECT(info.getCpuNs() == 200'000'000, info.getCpuNs());
  KJ_EXPECT(info.getLimitHits() == 1);
  KJ_EXPECT(node.node.getHits().count(LimitKind::CPU) == 1);
  KJ_EXPECT(node.logged("a limit was hit limit=cpu"));
  KJ_EXPECT(victim.answers());
  KJ_EXPECT(node.runToEnd("cell-plain", {"args", "below"}).code == 0);
}

KJ_TEST("20 that loop, at once: each ends, and who waits is served") {
  SteadyClock cpu;
  NodeOptions options;
  options.engine.cpuClock = cpu;
  options.cell.cpu = 20 * kj::MILLISECONDS;
  TestNode node(options);
  Victim victim{node};
  kj::Vector<Process::Client> loops;
  for (int i = 0; i < 20; i++) loops.add(node.run("cell-plain", {"spin"}));
  for (int i = 0; i < 10; i++) KJ_EXPECT(victim.answers());
  for (auto& loop: loops) KJ_EXPECT(node.wait(loop) == EXIT_TIMEOUT);
  KJ_EXPECT(node.node.getHits().count(LimitKind::CPU) == 20);
}

KJ_TEST("the wall clock ends who waits and who computes alike, and on time") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  NodeOptions options;
  options.cell.wall = 10 * kj::SECONDS;
  TestNode node(options, timer);
  auto sleeps = node.run("cell-plain", {"sleep", "3600000"});
  auto parked = node.run("cell-plain", {"park"});
  auto ends = node.run("cell-plain", {"exit", "5"});
  KJ_EXPECT(node.wait(ends) == 5);
  timer.advanceTo(timer.now() + 9999 * kj::MILLISECONDS);
  node.waitScope.poll();
  KJ_EXPECT(node.node.getEngine().guestCount() == 2);
  auto spin = node.run("cell-plain", {"spin"});
  timer.advanceTo(timer.now() + 1 * kj::MILLISECONDS);
  KJ_EXPECT(node.wait(sleeps) == EXIT_TIMEOUT);
  KJ_EXPECT(node.wait(parked) == EXIT_TIMEOUT);
  timer.advanceTo(timer.now() + 10 * kj::SECONDS);
  KJ_EXPECT(node.wait(spin) == EXIT_TIMEOUT);
  KJ_EXPECT(node.node.getHits().count(LimitKind::WALL) == 3);
  KJ_EXPECT(node.logged("a limit was hit limit=timeout"));
  KJ_EXPECT(node.answers());
}

KJ_TEST("64 cells of a session run, the 65th is refused, and each end makes room") {
  TestNode node;
  kj::Vector<Process::Client> cells;
  for (int i = 0; i < 64; i++) cells.add(node.run("cell-plain", {"park"}));
  auto one = [&]() { return node.run("cell-plain", {"park"}); };
  for (int i = 0; i < 3; i++) {
    auto why = failureOf([&]() { one(); });
    KJ_EXPECT(contains(why, "overloaded: descendants"), why);
    KJ_EXPECT(contains(why, "the limit is 64"), why);
  }
  KJ_EXPECT(node.node.getHits().count(LimitKind::DESCENDANTS) == 3);
  cells[0].killRequest().send().wait(node.waitScope);
  cells.add(one());
  KJ_EXPECT(contains(failureOf([&]() { one(); }), "overloaded: descendants"));
  // Of another session.
  auto session = node.node.openMembrane().graftRequest().send().getSession().getExtension();
  auto mine = node.executor;
  node.executor = session.getExecutor();
  one();
  node.executor = mine;
}

KJ_TEST("what cells start counts with them, eight generations deep") {
  TestNode node;
  auto eight = startTree(node, "7");
  KJ_EXPECT(node.node.getEngine().guestCount() == 8);
  KJ_EXPECT(infoOf(node, eight).getInfo().getChildren() == 1);

  auto wasm = component("cell-rpc");
  auto nine = node.run(wasm, {"tree", "8"});
  auto stdin = node.stdin(nine);
  node.write(stdin, wasm).wait(node.waitScope);
  node.close(stdin);
  KJ_EXPECT(node.wait(nine) != 0);
  KJ_EXPECT(node.node.getHits().count(LimitKind::DEPTH) == 1);
  KJ_EXPECT(node.node.getEngine().guestCount() == 8, "none of it is left");
  KJ_EXPECT(node.answers());
}

KJ_TEST("what a cell starts has a part of its memory, and gives it back") {
  uint64_t leaf, top;
  {
    TestNode node;
    leaf = infoOf(node, startTree(node, "0")).getInfo().getMemoryPeakBytes();
    top = infoOf(node, startTree(node, "1")).getInfo().getMemoryPeakBytes();
  }
  KJ_EXPECT(leaf > 100'000 && top >= leaf, leaf, top);
  NodeOptions options;
  options.cell.memoryBytes = 3 * top;
  TestNode node(options);
  for (int i = 0; i < 3; i++) {
    auto two = startTree(node, "1");
    auto response = infoOf(node, two);
    auto info = response.getInfo();
    KJ_EXPECT(info.getMemoryBytes() >= leaf, info.getMemoryBytes(), leaf);
    two.killRequest().send().wait(node.waitScope);
    auto later = infoOf(node, two);
    auto after = later.getInfo();
    KJ_EXPECT(after.getMemoryBytes() == 0 && after.getMemoryPeakBytes() >= leaf);
  }
  auto hits = [&]() { return node.node.getHits().count(LimitKind::MEMORY); };
  KJ_EXPECT(hits() == 0);
  auto wasm = component("cell-rpc");
  auto many = node.run(wasm, {"tree", "7"});
  auto stdin = node.stdin(many);
  node.write(stdin, wasm).wait(node.waitScope);
  node.close(stdin);
  KJ_EXPECT(node.wait(many) != 0);
  KJ_EXPECT(hits() > 0);
  KJ_EXPECT(node.logged("a limit was hit limit=memory"));
  KJ_EXPECT(node.answers());
}

KJ_TEST("a cell that goes on hitting its limit is counted, and said once") {
  NodeOptions options;
  options.cell.memoryBytes = 16 << 20;
  TestNode node(options);
  auto process = node.run("cell-plain", {"grow"});
  KJ_EXPECT(node.wait(process) == 7, "it ends by itself");
  KJ_EXPECT(infoOf(node, process).getInfo().getLimitHits() > 0);
  int lines = 0;
  for (auto& line: node.logger.getLines()) lines += contains(line, "a limit was hit");
  KJ_EXPECT(lines == 1, lines);
}

}  // namespace
}  // namespace ww
