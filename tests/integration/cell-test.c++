// A cell's life: arguments, exit statuses, kill, and what becomes of its tree.
#include <kj/test.h>
#include "test-node.h"

namespace ww {
namespace {

KJ_TEST("each way to end has its exit status") {
  TestNode node;
  struct Case {
    Words args;
    int32_t code;
  } cases[] = {
    {{}, 0}, {{"exit", "0"}, 0}, {{"exit", "1"}, 1}, {{"exit", "5"}, 5}, {{"exit", "255"}, 255},
    {{"return", "0"}, 0}, {{"return", "1"}, 1}, {{"return", "7"}, 7},
    {{"trap"}, EXIT_TRAP}, {{"throw"}, EXIT_TRAP}, {{"recurse"}, EXIT_TRAP}, {{"grow"}, 7},
  };
  for (auto& c: cases) {
    KJ_EXPECT(node.runToEnd("cell-plain", c.args).code == c.code,
              kj::strArray(kj::arrayPtr(c.args.begin(), c.args.size()), " "));
  }
  KJ_EXPECT(node.answers());
}

KJ_TEST("traps without end are few lines, and short ones") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  TestNode node({}, timer);
  for (int i = 0; i < 50; i++) {
    KJ_EXPECT(node.runToEnd("cell-plain", {"recurse"}).code == EXIT_TRAP);
  }
  auto lines = node.logger.getLines();
  KJ_EXPECT(lines.size() == LineQuota::LINES, lines.size());  // each hit a limit, and trapped
  for (auto& line: lines) KJ_EXPECT(line.size() < 1500, line.size());
  timer.advanceTo(timer.now() + LineQuota::PERIOD);
  node.waitScope.poll();
  KJ_EXPECT(node.logged("more lines of the same origin were not logged count=80"),
            node.logger.getLines().back());
}

KJ_TEST("a trap is logged with its cause and the guest's stack") {
  TestNode node;
  KJ_EXPECT(node.runToEnd("cell-plain", {"trap"}).code == EXIT_TRAP);
  KJ_EXPECT(node.logged("a cell trapped"));
  KJ_EXPECT(node.logged("unreachable"), node.logger.getLines());
  KJ_EXPECT(node.logged("wasm backtrace"), node.logger.getLines());
}

KJ_TEST("any number of callers wait, before and after the exit") {
  TestNode node;
  auto process = node.run("cell-plain", {"park"});
  kj::Vector<capnp::RemotePromise<Process::WaitResults>> before;
  for (int i = 0; i < 5; i++) before.add(process.waitRequest().send());
  node.close(node.stdin(process));
  for (auto& caller: before) KJ_EXPECT(caller.wait(node.waitScope).getExitCode() == 0);
  for (int i = 0; i < 3; i++) KJ_EXPECT(node.wait(process) == 0);
}

KJ_TEST("arguments and environment arrive verbatim") {
  TestNode node;
  KJ_EXPECT(node.runToEnd("cell-plain", {"args"}).out == "");
  KJ_EXPECT(node.runToEnd("cell-plain", {"args", "", "a b", "ü=\n"}).out == "0:\n3:a b\n4:ü=\n\n");
  KJ_EXPECT(node.runToEnd("cell-plain", {"env"}).out == "");
  KJ_EXPECT(node.runToEnd("cell-plain", {"env"}, {"A=B=C", "EMPTY="}).out == "5:A=B=C\n6:EMPTY=\n");
}

KJ_TEST("bad arguments and variables are refused by their index") {
  TestNode node;
  auto nul = kj::StringPtr("a\0b", 3);
  auto refused = [&](Words args, Words env, kj::StringPtr text) {
    auto reason = failureOf([&]() { node.run("cell-plain", args, env); });
    KJ_EXPECT(contains(reason, text), reason, text);
  };
  refused({"args", nul}, {}, "args[1] holds a NUL");
  refused({"args", "\xff"}, {}, "args[1] is not valid UTF-8");
  refused({"env"}, {"A=B", "nothing"}, "env[1] has no `=`");
  refused({"env"}, {nul}, "env[0] holds a NUL");
  refused({"env"}, {"A=B", "C=D", "\xc3\x28=1"}, "env[2] is not valid UTF-8");

  auto request = node.executor.runBytesRequest();
  request.setWasm(component("cell-plain"));
  request.initArgs(1 << 20);
  auto reason = failureOf([&]() { request.send().wait(node.waitScope); });
  KJ_EXPECT(contains(reason, "overloaded: args: 1048576 texts; the limit is 4096"), reason);
  auto large = kj::heapString((1 << 20) + 1);
  for (auto& c: large) c = 'x';
  refused({"args"}, {large}, "env: 1048577 bytes; the limit is 1048576");
  KJ_EXPECT(node.node.getEngine().guestCount() == 0);
  KJ_EXPECT(node.answers());
}

// ---- kill

KJ_TEST("kill ends a cell, whatever it does") {
  TestNode node;
  for (auto mode: {"spin"_kj, "park"_kj, "until-closed"_kj}) {
    auto process = node.run("cell-plain", {mode});
    auto out = node.stdout(process);  // held, so that what is not read keeps the guest waiting
    KJ_EXPECT(node.read(out, 1).size() == 1);
    auto waiting = process.waitRequest().send();
    process.killRequest().send().wait(node.waitScope);
    KJ_EXPECT(waiting.wait(node.waitScope).getExitCode() == EXIT_KILLED, mode);
    KJ_EXPECT(node.wait(process) == EXIT_KILLED, mode);
    process.killRequest().send().wait(node.waitScope);  // again: nothing
    KJ_EXPECT(node.node.getEngine().guestCount() == 0);
  }
}

KJ_TEST("busy neighbours keep nobody from anything") {
  TestNode node;
  kj::Vector<Process::Client> busy;
  for (int i = 0; i < 3; i++) busy.add(node.run("cell-plain", {"spin"}));
  busy.add(node.run("cell-rpc", {"bench-echo", "100000000", "64", "16"}));  // never at rest
  for (int i = 0; i < 3; i++) {
    KJ_EXPECT(node.runToEnd("cell-plain", {"sleep", "5"}).code == 0);
    KJ_EXPECT(node.runToEnd("child-echo", {}).code == 0);
    KJ_EXPECT(node.answers());
  }
  for (auto& process: busy) {
    process.killRequest().send().wait(node.waitScope);
    KJ_EXPECT(node.wait(process) == EXIT_KILLED);
  }
}

KJ_TEST("a kill after the end changes nothing") {
  TestNode node;
  auto process = node.run("cell-plain", {"exit", "5"});
  KJ_EXPECT(node.wait(process) == 5);
  process.killRequest().send().wait(node.waitScope);
  KJ_EXPECT(node.wait(process) == 5);
}

KJ_TEST("a kill reaches the whole tree") {
  TestNode node;
  auto top = startTree(node, "3");
  KJ_EXPECT(node.node.getEngine().guestCount() == 4);
  top.killRequest().send().wait(node.waitScope);
  KJ_EXPECT(node.node.getEngine().guestCount() == 0);
  KJ_EXPECT(node.wait(top) == EXIT_KILLED);
}

KJ_TEST("a cell whose parent ends is ended too") {
  TestNode node;
  auto wasm = component("cell-rpc");
  auto parent = node.run(wasm, {"orphan"});
  auto stdin = node.stdin(parent);
  node.write(stdin, wasm).wait(node.waitScope);
  node.close(stdin);
  KJ_EXPECT(node.wait(parent) == 3);
  KJ_EXPECT(node.node.getEngine().guestCount() == 0);
}

KJ_TEST("cells that have ended and are held take room, and give it back") {
  NodeOptions options;
  options.cell.held = 4;
  TestNode node(options);
  auto run = [&]() {
    auto process = node.run("cell-plain", {"out", "60000"});
    KJ_EXPECT(node.wait(process) == 0);
    return process;
  };
  kj::Vector<Process::Client> held;
  for (int i = 0; i < 4; i++) held.add(run());
  auto reason = failureOf([&]() { run(); });
  KJ_EXPECT(contains(reason, "overloaded: cells: so many are held by this parent"), reason);
  held.clear();
  for (int i = 0; i < 10; i++) run();

  // A stream is enough to keep what is in it, and a new session makes no new room.
  kj::Vector<ByteStream::Client> streams;
  for (int i = 0; i < 4; i++) {
    auto process = run();
    streams.add(node.stdout(process));
    streams.back().readRequest().send().wait(node.waitScope);  // of 0 bytes: it is there
  }
  KJ_EXPECT(contains(failureOf([&]() { run(); }), "overloaded: cells"));
  node.executor = node.node.openMembrane().graftRequest().send().getSession().getExtension()
      .getExecutor();
  KJ_EXPECT(contains(failureOf([&]() { run(); }), "overloaded: cells"));
  streams.clear();
  run();
}

KJ_TEST("dropping a Process gives up the handle, no more") {
  TestNode node;
  {
    auto process = node.run("cell-plain", {"spin"});
    KJ_EXPECT(node.read(node.stdout(process), 1024).size() > 0);
  }
  for (int i = 0; i < 100; i++) KJ_EXPECT(node.answers());
  KJ_EXPECT(node.node.getEngine().guestCount() == 1);
}

KJ_TEST("the node's end ends every cell") {
  TestNode node;
  auto tree = startTree(node, "2");
  node.run("cell-plain", {"spin"});
}

// ---- a guest and its calls

KJ_TEST("a guest's calls: answered, outstanding at its exit, outstanding when it traps") {
  TestNode node;
  KJ_EXPECT(node.runToEnd("cell-rpc", {"echo", "hello"}).out == "Echo: hello\n");
  KJ_EXPECT(node.runToEnd("cell-rpc", {"leave"}).code == 5);
  KJ_EXPECT(node.runToEnd("cell-rpc", {"trap"}).code == EXIT_TRAP);
  KJ_EXPECT(node.answers());
}

KJ_TEST("a guest may read what its host says again and again") {
  TestNode node;
  auto outcome = node.runToEnd("cell-rpc", {"reread"});
  KJ_EXPECT(outcome.code == 0, outcome.err);
}

KJ_TEST("a guest's uncaught failure is a line on stderr and exit code 1") {
  TestNode node;
  auto outcome = node.runToEnd("cell-rpc", {"fail"});
  KJ_EXPECT(outcome.code == 1);
  KJ_EXPECT(outcome.err.startsWith("failed: not a component: "), outcome.err);
  KJ_EXPECT(outcome.err.endsWith("\n"));
}

KJ_TEST("a bootstrap of another shape gets ordinary errors") {
  TestNode node;
  auto outcome = node.runToEnd("cell-rpc", {"wrong-interface"});
  KJ_EXPECT(outcome.code == 0);
  KJ_EXPECT(outcome.out.startsWith("unimplemented: "), outcome.out);
}

KJ_TEST("guests that wait are polled no more") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  TestNode node({}, timer);
  auto idle = node.run("cell-rpc", {"idle"});
  auto parked = node.run("cell-plain", {"park"});
  KJ_EXPECT(node.read(node.stdout(idle), 16).size() > 0);
  KJ_EXPECT(node.read(node.stdout(parked), 16).size() > 0);
  node.waitScope.poll();
  auto polls = node.node.getEngine().pollCount();
  for (int hour = 0; hour < 3; hour++) {
    timer.advanceTo(timer.now() + 1 * kj::HOURS);
    node.waitScope.poll();
  }
  KJ_EXPECT(node.node.getEngine().pollCount() == polls);
  KJ_EXPECT(node.node.getEngine().guestCount() == 2);
}

KJ_TEST("a start whose compilation outlasts the epoch starts nothing") {
  TestNode node;
  auto request = node.executor.runBytesRequest();
  request.setWasm(component("cell-plain"));
  request.initArgs(1).set(0, "spin");
  auto promise = request.send();
  // As far as the compiler's thread. Not poll(): that would hear of the thread's end, too.
  kj::evalLast([]() {}).wait(node.waitScope);
  // The head has moved, and the event that ends bodies is still to come.
  node.node.getHeadWatch().store({1, nullptr, 0});
  auto reason = failureOf([&]() { promise.wait(node.waitScope); });
  KJ_EXPECT(contains(reason, "staleEpoch: issued 0, current 1"), reason);
  KJ_EXPECT(node.node.getEngine().pollCount() == 0);
}

}  // namespace
}  // namespace ww
