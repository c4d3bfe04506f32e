// pid0, its sessions, and what their end reaches, with real guests.
#include <kj/test.h>
#include "test-node.h"

namespace ww {
namespace {

// pid0, and what it has printed.
class Pid0 {
 public:
  Pid0(TestNode& node, Words args): node(node) {
    auto owned = kj::heapArrayBuilder<kj::String>(args.size());
    for (auto arg: args) owned.add(kj::str(arg));
    cell = node.node.boot(component("cell-sessions"), owned.finish(), nullptr).wait(node.waitScope);
    stdout = cell->getStdout().takeStream();
    stdin = cell->getStdin().takeStream();
  }

  kj::String line() {
    kj::Vector<char> text;
    for (;;) {
      char c;
      if (stdout->tryRead(&c, 1, 1).wait(node.waitScope) == 0 || c == '\n') break;
      text.add(c);
    }
    return kj::heapString(text.asPtr());
  }

  size_t children() { return cell->getRecord().countChildren(); }
  void closeStdin() { stdin->shutdownWrite(); }
  int32_t wait() { return cell->wait().wait(node.waitScope); }

 private:
  TestNode& node;
  kj::Own<Cell> cell;
  kj::Own<ffi::PipeStream> stdout, stdin;
};

KJ_TEST("a pid0 whose start is given up ends, in whichever turn that is; so does one let go of") {
  TestNode node;
  bool isHad = false;
  for (kj::uint turns = 0; !isHad; turns++) {
    auto args = kj::heapArrayBuilder<kj::String>(1);
    args.add(kj::str("park"));
    auto start = node.node.boot(component("cell-plain"), args.finish(), nullptr)
        .then([&](kj::Own<Cell>&&) { isHad = true; }).eagerlyEvaluate(nullptr);
    node.untilGuests(1);
    for (kj::uint i = 0; i < turns; i++) node.waitScope.poll(1);
    start = nullptr;
    node.waitScope.poll();
    KJ_ASSERT(node.node.getEngine().guestCount() == 0, "it runs on", turns);
    KJ_ASSERT(turns < 1000);
  }
}

KJ_TEST("an advance kills all that the session gave, in a guest's hands") {
  TestNode node;
  Pid0 pid0(node, {"hold"});
  KJ_EXPECT(pid0.line() == "holding");
  node.heads.advance();
  for (auto name: {"a wait in flight", "a read in flight", "poller", "host", "host.executor",
                   "executor", "runBytes", "process", "kill", "stdin", "stdout"}) {
    KJ_EXPECT(pid0.line() == kj::str(name, ": staleEpoch: issued 0, current 1"));
  }
  KJ_EXPECT(pid0.line() == "epoch 1");
  KJ_EXPECT(pid0.wait() == 0);
  KJ_EXPECT(node.node.getEngine().guestCount() == 0);
}

KJ_TEST("a revoked session's cells get their grace, and pid0 goes on") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  NodeOptions options;
  TestNode node(options, timer);
  Pid0 pid0(node, {"abandon"});
  KJ_EXPECT(pid0.line() == "holding");
  KJ_EXPECT(node.node.getEngine().guestCount() == 2);
  KJ_EXPECT(pid0.children() == 1);
  node.heads.advance();
  auto turn = [&]() {
    for (int i = 0; i < 100; i++) kj::evalLater([]() {}).wait(node.waitScope);
  };
  turn();
  timer.advanceTo(timer.now() + options.grace - 1 * kj::NANOSECONDS);
  turn();
  KJ_EXPECT(node.node.getEngine().guestCount() == 2);
  timer.advanceTo(timer.now() + 1 * kj::NANOSECONDS);
  node.untilGuests(1);
  pid0.closeStdin();
  KJ_EXPECT(pid0.line() == "still here");
  KJ_EXPECT(pid0.wait() == 0);
}

KJ_TEST("an advance kills a child's own Host, and all that it gave") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  TestNode node({}, timer);
  auto child = node.run("cell-rpc", {"hold-host"});
  KJ_EXPECT(node.read(node.stdout(child), 64) == "holding\n"_kj.asBytes());
  node.heads.advance();
  node.untilGuests(0);
  KJ_EXPECT(node.logged("a cell trapped"), "it found something that was not stale");
}

KJ_TEST("the grace over, a revoked session's cells are ended with their trees") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  NodeOptions options;
  TestNode node(options, timer);
  startTree(node, "3");
  KJ_EXPECT(node.node.getEngine().guestCount() == 4);
  node.heads.advance();
  node.node.getHeadWatch().onAdvance(0).wait(node.waitScope);
  node.waitScope.poll();
  KJ_EXPECT(node.node.getEngine().guestCount() == 4);
  timer.advanceTo(timer.now() + options.grace);
  node.untilGuests(0);
}

KJ_TEST("what was final and is no more ends all authority, and none is handed out") {
  TestNode node;
  auto spinning = node.run("cell-plain", {"spin"});
  node.heads.fail(KJ_EXCEPTION(FAILED, "reorg-too-deep: block 4 was another"));
  KJ_EXPECT(node.node.onClosed().wait(node.waitScope) == "reorg-too-deep: block 4 was another");
  auto revoked = failureOf([&]() { node.wait(spinning); });
  KJ_EXPECT(contains(revoked, "revoked: reorg-too-deep: block 4 was another"), revoked);
  auto refused = failureOf([&]() {
    node.node.openMembrane().graftRequest().send().wait(node.waitScope);
  });
  KJ_EXPECT(contains(refused, "unauthorized: reorg-too-deep: block 4 was another"), refused);
  node.untilGuests(0);
  KJ_EXPECT(node.logged("all sessions are revoked"));
}

KJ_TEST("the node ends in the middle of a graft, after any turn") {
  for (kj::uint turns = 0; turns < 80; turns++) {
    TestNode node;
    Pid0 pid0(node, {"bench-graft", "1000000"});
    for (kj::uint i = 0; i < turns; i++) node.waitScope.poll(1);
  }
}

KJ_TEST("pid0's end ends what it started") {
  TestNode node;
  Pid0 pid0(node, {"abandon"});
  KJ_EXPECT(pid0.line() == "holding");
  pid0.closeStdin();
  KJ_EXPECT(pid0.line() == "still here");
  KJ_EXPECT(pid0.wait() == 0);
  KJ_EXPECT(node.node.getEngine().guestCount() == 0);
}

KJ_TEST("a guest that hoards sessions is refused beyond the limit") {
  TestNode node;
  Pid0 pid0(node, {"hoard", "100"});
  auto line = pid0.line();
  KJ_EXPECT(line.startsWith("64: overloaded: sessions"), line);
  KJ_EXPECT(node.logged("a limit was hit limit=sessions cell=1 value=64"));
  KJ_EXPECT(pid0.wait() == 0);
  KJ_EXPECT(node.answers());
}

KJ_TEST("the epoch that a session was issued under is the source's") {
  TestNode node;
  auto head = "a head"_kj.asBytes();
  node.heads.advance(head, 42);
  node.node.getHeadWatch().onAdvance(0).wait(node.waitScope);
  auto graft = node.node.openMembrane().graftRequest().send().wait(node.waitScope);
  auto epoch = graft.getSession().getIssuedEpoch();
  KJ_EXPECT(epoch.getSeq() == 1);
  KJ_EXPECT(epoch.getHead() == head);
  KJ_EXPECT(epoch.getAdoptedBlock() == 42);
}

}  // namespace
}  // namespace ww
