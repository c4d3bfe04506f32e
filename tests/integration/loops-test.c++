// Cells on several loops: where they are placed, and that they are cells like any others.
#include "loops-fixture.h"

namespace ww {
namespace {

using peer::Cells;

void kill(TestNode& node, Process::Client process) {
  process.killRequest().send().wait(node.waitScope);
  KJ_EXPECT(node.wait(process) == EXIT_KILLED);
}

KJ_TEST("cells are placed where the fewest run, on the loop that asks where no other has fewer") {
  TestNode node(onLoops(3));
  kj::Vector<Process::Client> cells;
  for (kj::uint i = 0; i < 6; i++) {
    cells.add(node.run("cell-plain", {"park"}));
    KJ_EXPECT(loopOf(node, cells.back()) == i % 3);
    KJ_EXPECT(idOf(node, cells.back()) == i + 1);
  }
  KJ_EXPECT(loadsOf(node) == "2 2 2", loadsOf(node));
  kill(node, cells[4]);
  KJ_EXPECT(loadsOf(node) == "2 1 2", loadsOf(node));
  auto next = [&]() {
    cells.add(node.run("cell-plain", {"park"}));
    return loopOf(node, cells.back());
  };
  KJ_EXPECT(next() == 1);
  kill(node, cells[0]);
  kill(node, cells[2]);
  KJ_EXPECT(next() == 0);
  KJ_EXPECT(next() == 2);
}

KJ_TEST("with one loop all are on it") {
  TestNode node(onLoops(1));
  kj::Vector<Process::Client> cells;
  for (int i = 0; i < 3; i++) {
    cells.add(node.run("cell-plain", {"park"}));
    KJ_EXPECT(loopOf(node, cells.back()) == 0);
  }
  KJ_EXPECT(loadsOf(node) == "3", loadsOf(node));
}

KJ_TEST("what a failed start took is given back, on every loop") {
  TestNode node(onLoops(2));
  auto first = occupyFirst(node);
  auto fails = [&](kj::StringPtr name, Words args) {
    return failureOf([&]() { node.run(name, args); });
  };
  for (int i = 0; i < 3; i++) {
    auto trapped = fails("bare-trap-at-start", {});
    KJ_EXPECT(trapped.startsWith("the component could not be instantiated: "), trapped);
    auto foreign = fails("bare-unknown-import", {});
    KJ_EXPECT(foreign.startsWith("this component cannot run here: "), foreign);
  }
  KJ_EXPECT(loadsOf(node) == "1 0", loadsOf(node));
  KJ_EXPECT(node.node.getEngine().guestCount() == 1);
}

KJ_TEST("a cell of another loop has its arguments, its pipes and its exit code") {
  TestNode node(onLoops(2));
  auto first = occupyFirst(node);
  auto args = node.runToEnd("cell-plain", {"args", "one", ""});
  KJ_EXPECT(args.code == 0 && args.out == "3:one\n0:\n", args.out);
  auto env = node.runToEnd("cell-plain", {"exit", "7"});
  KJ_EXPECT(env.code == 7);
  auto both = node.runToEnd("cell-plain", {"out", "300000"});
  KJ_EXPECT(both.out.size() == 300000 && both.err == "done\n");

  auto cat = node.run("cell-plain", {"cat"});
  KJ_EXPECT(loopOf(node, cat) == 1);
  auto in = node.stdin(cat);
  auto out = node.stdout(cat);
  auto piece = kj::heapArray<kj::byte>(1 << 20);
  for (size_t i = 0; i < piece.size(); i++) piece[i] = kj::byte(i * 7);
  auto written = node.write(in, piece).then([&]() {
    return in.closeRequest().send().ignoreResult();
  }).eagerlyEvaluate(nullptr);
  auto text = node.readAll(out);
  written.wait(node.waitScope);
  KJ_EXPECT(text.asBytes() == piece);
  KJ_EXPECT(node.wait(cat) == 0);
}

KJ_TEST("failures of a cell's streams are in the words of its own loop") {
  TestNode node(onLoops(2));
  auto first = occupyFirst(node);
  auto process = node.run("cell-plain", {"park"});
  KJ_EXPECT(loopOf(node, process) == 1);
  auto in = node.stdin(process);
  auto why = failureOf([&]() { node.read(in, 5); });
  KJ_EXPECT(why == "read: stdin can only be written to", why);
  why = failureOf([&]() { process.detachRequest().send().wait(node.waitScope); });
  KJ_EXPECT(why == "", why);
  kill(node, process);
  why = failureOf([&]() { node.write(in, "x"_kj.asBytes()).wait(node.waitScope); });
  KJ_EXPECT(why.startsWith("ended: "), why);
}

KJ_TEST("a trap on another loop is logged, and counted where limits are") {
  NodeOptions options;
  options.cell.memoryBytes = 16 << 20;
  TestNode node(onLoops(2, options));
  auto first = occupyFirst(node);
  KJ_EXPECT(node.wait(node.run("cell-plain", {"trap"})) == EXIT_TRAP);
  until(node, [&]() { return node.logged("a cell trapped cell=2 "); });
  auto greedy = node.run("cell-plain", {"grow"});
  KJ_EXPECT(loopOf(node, greedy) == 1);
  KJ_EXPECT(node.wait(greedy) == 7);
  until(node, [&]() { return node.logged("a limit was hit limit=memory cell=3 "); });
  KJ_EXPECT(node.node.getHits().count(LimitKind::MEMORY) > 0);
}

KJ_TEST("guests on all loops are answered by their own Hosts and Executors") {
  TestNode node(onLoops(3));
  auto first = occupyFirst(node);
  for (int i = 0; i < 3; i++) {
    auto outcome = node.runToEnd("cell-rpc", {"echo", "hello"});
    KJ_EXPECT(outcome.code == 0 && outcome.out == "Echo: hello\n", outcome.out, outcome.err);
  }
  kj::Vector<Process::Client> talkers;
  for (int i = 0; i < 5; i++) {
    talkers.add(node.run("cell-rpc", {"bench-echo", "2000", "64", "100"}));
  }
  KJ_EXPECT(loopOf(node, talkers[0]) == 1 && loopOf(node, talkers[1]) == 2);
  for (auto& talker: talkers) {
    node.readAll(node.stdout(talker));
    KJ_EXPECT(node.wait(talker) == 0);
  }
}

KJ_TEST("one session's cells are listed, found, killed and read, wherever they run") {
  TestNode node(onLoops(3));
  kj::Vector<Process::Client> cells;
  for (int i = 0; i < 3; i++) cells.add(node.run("cell-plain", {"park", kj::str(i)}));
  auto view = node.executor.cellsRequest().send().getCells();
  auto listed = view.listRequest().send().wait(node.waitScope);
  auto list = listed.getCells();
  KJ_ASSERT(list.size() == 3);
  for (kj::uint i = 0; i < 3; i++) {
    KJ_EXPECT(list[i].getId() == i + 1 && list[i].getArgs()[1] == kj::str(i));
    KJ_EXPECT(list[i].getState().isRunning() && list[i].getMemoryBytes() > 0);
  }
  KJ_EXPECT(node.node.getMemory() >= 3 * 65536);
  for (uint64_t id: {1, 2, 3}) {
    KJ_EXPECT(cells[id - 1].detachRequest().send().wait(node.waitScope).getId() == id);
    auto find = view.findRequest();
    find.setId(id);
    auto found = find.send().wait(node.waitScope);
    KJ_EXPECT(found.getInfo().getDetached());
    auto log = view.logRequest();
    log.setId(id);
    log.setFollow(true);
    auto stream = log.send().getStream();
    KJ_EXPECT(node.read(stream, 100) == "parked\n"_kj.asBytes());
    found.getProcess().killRequest().send().wait(node.waitScope);
    KJ_EXPECT(node.wait(cells[id - 1]) == EXIT_KILLED);
    KJ_EXPECT(node.read(stream, 100).size() == 0, "the log ends with the cell");
  }
  auto find = view.findRequest();
  find.setId(2);
  auto ended = find.send().wait(node.waitScope);
  KJ_EXPECT(!ended.hasProcess() && ended.getInfo().getState().getExitCode() == EXIT_KILLED);
}

KJ_TEST("a guest elsewhere floods its child as it may at home: what is too much is refused") {
  TestNode node(onLoops(2));
  auto first = occupyFirst(node);
  auto wasm = component("cell-rpc");
  auto process = node.run(wasm, {"flood"});
  KJ_EXPECT(loopOf(node, process) == 1);
  auto stdin = node.stdin(process);
  node.write(stdin, wasm).wait(node.waitScope);
  node.close(stdin);
  auto text = node.readAll(node.stdout(process));
  KJ_EXPECT(contains(text, "overloaded: heldBytes"), text);
  KJ_EXPECT(contains(text, "overloaded: reads"), text);
  KJ_EXPECT(node.wait(process) == 0);
  KJ_EXPECT(node.answers());
}

}  // namespace
}  // namespace ww
