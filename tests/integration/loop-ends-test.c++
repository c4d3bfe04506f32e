// How authority, cells and nodes end where cells run on several loops.
#include "client-fixture.h"
#include "loops-fixture.h"

namespace ww {
namespace {

constexpr kj::StringPtr STALE = "staleEpoch: issued 0, current 1"_kj;

kj::Promise<kj::String> failureOfCall(kj::Promise<void> call) {
  return call.then([]() { return kj::str("answered"); }, [](kj::Exception&& e) {
    return kj::str(e.getDescription());
  });
}

// A cell with `depth` generations below, over all loops.
kj::uint loopsOfTree(TestNode& node) {
  kj::uint seen = 0;
  for (auto& record: CellView::ofAll(node.node.getCells()).list()) {
    seen |= 1u << record->getFacts().loop;
  }
  return seen;
}

KJ_TEST("when the head moves, calls on a cell of another loop fail at once, in flight and new") {
  TestNode node(onLoops(2));
  auto first = occupyFirst(node);
  auto process = node.run("cell-plain", {"park"});
  KJ_EXPECT(loopOf(node, process) == 1);
  auto out = node.stdout(process);
  KJ_EXPECT(node.read(out, 100) == "parked\n"_kj.asBytes());
  auto reading = out.readRequest();
  reading.setMaxBytes(100);
  kj::Promise<kj::String> inFlight[] = {
    failureOfCall(process.waitRequest().send().ignoreResult()),
    failureOfCall(reading.send().ignoreResult()),
  };
  node.waitScope.poll();
  auto& watch = node.node.getHeadWatch();
  watch.store({1, nullptr, 0});
  auto late = failureOfCall(process.killRequest().send().ignoreResult());
  KJ_EXPECT(late.wait(node.waitScope) == STALE, "before anybody is told");
  watch.announce().wait(node.waitScope);
  for (auto& call: inFlight) KJ_EXPECT(call.wait(node.waitScope) == STALE);
  KJ_EXPECT(node.node.getEngine().guestCount() == 2, "they have their grace");
}

KJ_TEST("once the head has moved no other loop answers for the old epoch, told or not") {
  TestNode node(onLoops(2));
  auto first = occupyFirst(node);
  auto process = node.run("cell-rpc", {"hold-host"});
  KJ_EXPECT(loopOf(node, process) == 1);
  KJ_EXPECT(node.read(node.stdout(process), 100) == "holding\n"_kj.asBytes());
  node.node.getHeadWatch().store({1, nullptr, 0});
  // It traps when all that it holds is stale.
  until(node, [&]() { return node.logged("a cell trapped cell=2 "); });
}

KJ_TEST("revoked, sessions end on all loops, with their cells") {
  NodeOptions options = onLoops(3);
  options.grace = 0 * kj::SECONDS;
  TestNode node(options);
  kj::Vector<Process::Client> cells;
  for (int i = 0; i < 6; i++) cells.add(node.run("cell-plain", {"spin"}));
  kj::Vector<kj::Promise<kj::String>> waits;
  for (auto& cell: cells) waits.add(failureOfCall(cell.waitRequest().send().ignoreResult()));
  node.heads.fail(KJ_EXCEPTION(FAILED, "reorg-too-deep: block 4 was another"));
  for (auto& wait: waits) {
    auto why = wait.wait(node.waitScope);
    KJ_EXPECT(why == "revoked: reorg-too-deep: block 4 was another", why);
  }
  node.untilGuests(0);
}

KJ_TEST("a session's grace is the same for cells of all loops, and their trees") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  NodeOptions options = onLoops(3);
  TestNode node(options, timer);
  startTree(node, "4");
  KJ_EXPECT(node.node.getEngine().guestCount() == 5);
  KJ_EXPECT(loopsOfTree(node) == 7);
  node.heads.advance();
  node.node.getHeadWatch().onAdvance(0).wait(node.waitScope);
  node.waitScope.poll();
  KJ_EXPECT(node.node.getEngine().guestCount() == 5);
  timer.advanceTo(timer.now() + options.grace);
  node.untilGuests(0);
  until(node, [&]() { return loadsOf(node) == "0 0 0"; });
}

KJ_TEST("killed or ended, a cell takes those it started with it, over all loops") {
  TestNode node(onLoops(3));
  for (int i = 0; i < 3; i++) {
    auto top = startTree(node, "4");
    KJ_EXPECT(loopsOfTree(node) == 7);
    top.killRequest().send().wait(node.waitScope);
    KJ_EXPECT(node.wait(top) == EXIT_KILLED);
    node.untilGuests(0);
  }
  auto wasm = component("cell-rpc");
  auto orphan = node.run(wasm, {"orphan"});
  auto stdin = node.stdin(orphan);
  node.write(stdin, wasm).wait(node.waitScope);
  node.close(stdin);
  KJ_EXPECT(node.wait(orphan) == 3);
  node.untilGuests(0);
  until(node, [&]() { return loadsOf(node) == "0 0 0"; });
}

KJ_TEST("descendants are counted over all loops, and each end makes room") {
  TestNode node(onLoops(3));
  kj::Vector<Process::Client> cells;
  for (int i = 0; i < 64; i++) cells.add(node.run("cell-plain", {"park"}));
  // The loop that starts them has a few more.
  KJ_EXPECT(loadsOf(node) == "24 20 20", loadsOf(node));
  auto one = [&]() { return node.run("cell-plain", {"park"}); };
  auto why = failureOf([&]() { one(); });
  KJ_EXPECT(contains(why, "overloaded: descendants"), why);
  KJ_EXPECT(node.node.getHits().count(LimitKind::DESCENDANTS) == 1);
  cells[1].killRequest().send().wait(node.waitScope);
  cells.add(one());
  KJ_EXPECT(loopOf(node, cells.back()) == 1);
  KJ_EXPECT(contains(failureOf([&]() { one(); }), "overloaded: descendants"));
}

KJ_TEST("guests that fork on all loops at once come to the limit together, and not above it") {
  NodeOptions options = onLoops(3);
  options.cell.descendants = 24;
  TestNode node(options);
  auto wasm = component("cell-rpc");
  kj::Vector<Process::Client> forks;
  for (int i = 0; i < 3; i++) {
    forks.add(node.run(wasm, {"fork"}));
    KJ_EXPECT(loopOf(node, forks.back()) == kj::uint(i));
  }
  kj::Vector<kj::Promise<void>> written;
  for (auto& fork: forks) {
    auto stdin = node.stdin(fork);
    written.add(node.write(stdin, wasm).then([stdin]() mutable {
      return stdin.closeRequest().send().ignoreResult();
    }));
  }
  kj::joinPromises(written.releaseAsArray()).wait(node.waitScope);
  kj::uint total = 0;
  for (auto& fork: forks) {
    auto line = kj::str(node.read(node.stdout(fork), 1024).asChars());
    KJ_EXPECT(contains(line, ": overloaded: descendants"), line);
    total += kj::str(line.slice(0, KJ_ASSERT_NONNULL(line.findFirst(':')))).parseAs<kj::uint>();
  }
  KJ_EXPECT(total == 24 - 3, total);
  KJ_EXPECT(node.node.getEngine().guestCount() == 24);
}

uint64_t mostMemoryOf(TestNode& node) {
  uint64_t most = 0;
  for (auto& record: CellView::ofAll(node.node.getCells()).list()) {
    most = kj::max(most, record->getMemory());
  }
  return most;
}

KJ_TEST("generations are counted over all loops") {
  TestNode node(onLoops(2));
  startTree(node, "7");
  KJ_EXPECT(loadsOf(node) == "3 5", loadsOf(node));
  auto wasm = component("cell-rpc");
  auto nine = node.run(wasm, {"tree", "8"});
  auto stdin = node.stdin(nine);
  node.write(stdin, wasm).wait(node.waitScope);
  node.close(stdin);
  KJ_EXPECT(node.wait(nine) != 0);
  KJ_EXPECT(node.node.getHits().count(LimitKind::DEPTH) == 1);
  node.untilGuests(8);
}

KJ_TEST("what a cell starts on other loops has a part of its memory, too") {
  NodeOptions options = onLoops(2);
  {
    TestNode node(options);
    startTree(node, "1");
    options.cell.memoryBytes = 3 * mostMemoryOf(node);
  }
  TestNode node(options);
  auto wasm = component("cell-rpc");
  auto many = node.run(wasm, {"tree", "7"});
  auto stdin = node.stdin(many);
  node.write(stdin, wasm).wait(node.waitScope);
  node.close(stdin);
  KJ_EXPECT(node.wait(many) != 0);
  KJ_EXPECT(node.node.getHits().count(LimitKind::MEMORY) > 0);
  node.untilGuests(0);
}

KJ_TEST("a node runs so many guests, on whichever loops") {
  NodeOptions options = onLoops(3);
  options.engine.maxGuests = 5;
  TestNode node(options);
  kj::Vector<Process::Client> cells;
  for (int i = 0; i < 5; i++) cells.add(node.run("cell-plain", {"park"}));
  auto why = failureOf([&]() { node.run("cell-plain", {"park"}); });
  KJ_EXPECT(contains(why, "overloaded: cells"), why);
  cells[4].killRequest().send().wait(node.waitScope);
  node.run("cell-plain", {"park"});
}

KJ_TEST("a link's end ends its cells on all loops after the grace, but for the detached") {
  Fixture f(onLoops(3));
  auto client = kj::heap<Client>(f.connect());
  auto executor = client->graft(f.signer()).getSession().getExtension().getExecutor();
  kj::Vector<Process::Client> cells;
  for (int i = 0; i < 3; i++) {
    cells.add(runOn(executor, "cell-plain", {"sleep", "10000000"}));
    KJ_EXPECT(loopOf(f.node, cells.back()) == kj::uint(i));
  }
  auto detached = cells[1].detachRequest().send().wait(f.node.waitScope).getId();
  KJ_EXPECT(detached == 2);
  cells.clear();
  executor = nullptr;
  client = nullptr;
  until(f.node, [&]() { return f.links.count() == 0; });
  KJ_EXPECT(f.node.node.getEngine().guestCount() == 3, "they have their grace");
  f.advance(GRACE);
  f.node.untilGuests(1);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.node.node.getCells().find(2))->isRunning());
  // Its key goes, and with it the session.
  f.keys.set(nullptr);
  f.node.waitScope.poll();
  f.advance(GRACE);
  f.node.untilGuests(0);
}

KJ_TEST("a node ends whatever its loops are doing") {
  auto wasm = component("cell-rpc");
  for (kj::uint turns = 0; turns < 30; turns++) {
    TestNode node(onLoops(3));
    kj::Vector<Process::Client> cells;
    cells.add(node.run("cell-plain", {"spin"}));
    cells.add(node.run("cell-rpc", {"bench-echo", "1000000", "64", "16"}));
    auto fork = node.run(wasm, {"fork"});
    auto written = node.write(node.stdin(fork), wasm).then([&]() {
      return node.stdin(fork).closeRequest().send().ignoreResult();
    }).eagerlyEvaluate(nullptr);
    auto wait = fork.waitRequest().send();
    for (kj::uint i = 0; i < turns * 3; i++) node.waitScope.poll(1);
    written = nullptr;
  }
}

}  // namespace
}  // namespace ww
