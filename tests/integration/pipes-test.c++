// A cell's three pipes as ByteStreams.
#include <kj/test.h>
#include "test-node.h"

namespace ww {
namespace {

constexpr size_t MIB = 1 << 20;

kj::Array<kj::byte> pattern(size_t size) {
  auto bytes = kj::heapArray<kj::byte>(size);
  for (size_t i = 0; i < size; i++) bytes[i] = 'a' + i % 26;
  return bytes;
}

KJ_TEST("stdin to stdout, more than the pipes hold, to the end") {
  TestNode node;
  auto process = node.run("cell-plain", {"cat"});
  auto sent = pattern(MIB);
  auto stdin = node.stdin(process);
  auto writing = node.write(stdin, sent).then([stdin]() mutable {
    return stdin.closeRequest().send().ignoreResult();
  }).eagerlyEvaluate(nullptr);
  KJ_EXPECT(node.readAll(node.stdout(process)).asBytes() == sent);
  writing.wait(node.waitScope);
  KJ_EXPECT(node.wait(process) == 0);
}

KJ_TEST("a blocking read waits for what comes, takes no more than it asks for, and ends") {
  TestNode node;
  auto process = node.run("cell-files", {"take"});
  auto stdout = node.stdout(process), stdin = node.stdin(process);
  auto say = [&](kj::StringPtr text) { node.write(stdin, text.asBytes()).wait(node.waitScope); };
  auto hear = [&](kj::StringPtr text) {
    kj::Vector<kj::byte> heard;
    while (heard.size() < text.size()) {
      auto piece = node.read(stdout, text.size() - heard.size());
      if (piece.size() == 0) break;
      heard.addAll(piece);
    }
    KJ_EXPECT(heard.asPtr() == text.asBytes(), kj::heapString(heard.asPtr().asChars()));
  };
  say("abc");
  hear("0: \n2: ab\n1: c\n");
  say("de");
  hear("2: de\n");
  node.close(stdin);
  hear("closed\nclosed\nclosed\n");
  KJ_EXPECT(node.wait(process) == 0);
}

KJ_TEST("stdin ends when its last holder lets go") {
  TestNode node;
  kj::Maybe<Process::Client> process = node.run("cell-plain", {"park"});
  auto stdout = node.stdout(KJ_ASSERT_NONNULL(process));
  KJ_EXPECT(node.read(stdout, 16) == "parked\n"_kj.asBytes());
  {
    auto stdin = node.stdin(KJ_ASSERT_NONNULL(process));
    node.write(stdin, "x"_kj.asBytes()).wait(node.waitScope);
    KJ_EXPECT(node.node.getEngine().guestCount() == 1);
  }
  KJ_EXPECT(node.wait(KJ_ASSERT_NONNULL(process)) == 0);

  process = node.run("cell-plain", {"park"});
  process = nullptr;  // its stdin was never asked for
  node.untilGuests(0);
}

KJ_TEST("a read gives at most 64 KiB, whatever it asks for") {
  TestNode node;
  auto process = node.run("cell-plain", {"out", "1000000"});
  auto stdout = node.stdout(process);
  size_t total = 0;
  for (;;) {
    auto piece = node.read(stdout, kj::maxValue);
    if (piece.size() == 0) break;
    KJ_EXPECT(piece.size() <= MAX_READ_BYTES);
    for (auto byte: piece) KJ_ASSERT(byte == 'a' + total++ % 26);
  }
  KJ_EXPECT(total == 1000000);
  KJ_EXPECT(node.read(stdout, 1).size() == 0);  // for ever
}

KJ_TEST("a read of 0 is empty at once; a small one takes no more than it asks for") {
  TestNode node;
  auto process = node.run("cell-plain", {"park"});
  auto stdout = node.stdout(process);
  KJ_EXPECT(node.read(stdout, 0).size() == 0);
  KJ_EXPECT(node.read(stdout, 3) == "par"_kj.asBytes());
  KJ_EXPECT(node.read(stdout, 100) == "ked\n"_kj.asBytes());
}

KJ_TEST("reads that wait are answered in the order they came") {
  TestNode node;
  auto process = node.run("cell-plain", {"cat"});
  auto stdout = node.stdout(process), stdin = node.stdin(process);
  auto read = [&]() {
    auto request = stdout.readRequest();
    request.setMaxBytes(2);
    return request.send();
  };
  auto first = read(), second = read();
  node.write(stdin, "abcd"_kj.asBytes()).wait(node.waitScope);
  KJ_EXPECT(first.wait(node.waitScope).getData() == "ab"_kj.asBytes());
  KJ_EXPECT(second.wait(node.waitScope).getData() == "cd"_kj.asBytes());
}

KJ_TEST("16 reads of a stream may wait; one more is refused, and those given up make room") {
  TestNode node;
  auto process = node.run("cell-plain", {"park"});
  auto out = node.stdout(process);
  KJ_EXPECT(node.read(out, 100) == "parked\n"_kj.asBytes());
  auto ask = [&]() {
    auto request = out.readRequest();
    request.setMaxBytes(kj::maxValue);
    return request.send().ignoreResult();
  };
  kj::Vector<kj::Promise<void>> waiting;
  for (int i = 0; i < 16; i++) waiting.add(ask());
  for (int i = 0; i < 2; i++) {
    auto why = failureOf([&]() { ask().wait(node.waitScope); });
    KJ_EXPECT(contains(why, "overloaded: reads: 16 reads of this cell's stdout wait"), why);
  }
  KJ_EXPECT(node.node.getHits().count(LimitKind::READS) == 2);
  KJ_EXPECT(node.logged("a limit was hit limit=reads session=1 value=16"), "of who holds it");
  for (int round = 0; round < 1000; round++) {
    waiting.clear();
    for (int i = 0; i < 16; i++) waiting.add(ask());
    node.waitScope.poll();
  }
  KJ_EXPECT(node.node.getHits().count(LimitKind::READS) == 2);
  node.close(node.stdin(process));
  for (auto& promise: waiting) promise.wait(node.waitScope);
}

KJ_TEST("a read that is given up takes nothing") {
  TestNode node;
  auto process = node.run("cell-plain", {"cat"});
  auto stdout = node.stdout(process), stdin = node.stdin(process);
  {
    auto request = stdout.readRequest();
    request.setMaxBytes(100);
    auto given = request.send();
    node.waitScope.poll();
  }
  node.write(stdin, "abc"_kj.asBytes()).wait(node.waitScope);
  KJ_EXPECT(node.read(stdout, 100) == "abc"_kj.asBytes());
}

KJ_TEST("a close that its session's end cuts off is made good when the last holder lets go") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  TestNode node({}, timer);
  kj::Maybe<Process::Client> process = node.run("cell-plain", {"drain-late"});
  {
    auto stdin = node.stdin(KJ_ASSERT_NONNULL(process));
    auto writing = node.write(stdin, pattern(MIB));  // more than fits
    auto closing = stdin.closeRequest().send();
    node.waitScope.poll();
    node.heads.advance();
    KJ_EXPECT(failureOf([&]() { closing.wait(node.waitScope); }).size() > 0);
    KJ_EXPECT(failureOf([&]() { writing.wait(node.waitScope); }).size() > 0);
  }
  KJ_EXPECT(node.node.getEngine().guestCount() == 1);
  process = nullptr;
  while (node.node.getEngine().guestCount() > 0) {
    timer.advanceTo(timer.now() + 1 * kj::MILLISECONDS);
    node.waitScope.poll();
    KJ_ASSERT(timer.now() - kj::origin<kj::TimePoint>() < NodeOptions().grace, "no end of file");
  }
}

KJ_TEST("a pipe holds 64 KiB") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  TestNode node({}, timer);
  auto process = node.run("cell-plain", {"sleep", "1000000000"});  // and reads nothing
  auto stdin = node.stdin(process);
  node.write(stdin, pattern(64 * 1024)).wait(node.waitScope);
  auto more = node.write(stdin, "x"_kj.asBytes());
  KJ_EXPECT(!more.poll(node.waitScope));
}

KJ_TEST("what is left is read after the exit") {
  TestNode node;
  auto process = node.run("cell-plain", {"out", "1000"});
  auto stdout = node.stdout(process);
  KJ_EXPECT(node.wait(process) == 0);
  KJ_EXPECT(node.readAll(stdout).size() == 1000);
  KJ_EXPECT(node.readAll(node.stderr(process)) == "done\n");
}

KJ_TEST("output that nobody reads keeps no guest from its end") {
  TestNode node;
  for (auto mode: {"out"_kj, "err"_kj}) {
    auto process = node.run("cell-plain", {mode, "10000000"});
    KJ_EXPECT(node.wait(process) == 0);
  }
  KJ_EXPECT(node.logged("output that nobody read was dropped"));
}

KJ_TEST("who holds stdout and does not read it holds the guest up") {
  TestNode node;
  auto process = node.run("cell-plain", {"out", "10000000"});
  auto stdout = node.stdout(process);
  auto waiting = process.waitRequest().send();
  node.waitScope.poll();
  KJ_EXPECT(!waiting.poll(node.waitScope));
  KJ_EXPECT(node.readAll(stdout).size() == 10000000);
  KJ_EXPECT(waiting.wait(node.waitScope).getExitCode() == 0);
}

KJ_TEST("a closed stdout: the guest's next write fails, reads here end") {
  TestNode node;
  auto process = node.run("cell-plain", {"until-closed"});
  auto stdout = node.stdout(process);
  KJ_EXPECT(node.read(stdout, 16).size() == 16);
  node.close(stdout);
  KJ_EXPECT(node.read(stdout, 16).size() == 0);
  KJ_EXPECT(node.wait(process) == 9);
}

KJ_TEST("closing again, or after the exit, is fine") {
  TestNode node;
  auto process = node.run("cell-plain", {"cat"});
  auto stdin = node.stdin(process), stdout = node.stdout(process);
  node.close(stdin);
  node.close(stdin);
  KJ_EXPECT(node.wait(process) == 0);
  node.close(stdin);
  node.close(stdout);
  node.close(node.stderr(process));
}

KJ_TEST("a stream's wrong end is refused by name") {
  TestNode node;
  auto process = node.run("cell-plain", {"cat"});
  auto stdin = node.stdin(process), stdout = node.stdout(process);
  auto refused = [&](auto&& code, kj::StringPtr text) {
    auto reason = failureOf(code);
    KJ_EXPECT(contains(reason, text), reason, text);
  };
  refused([&]() { node.read(stdin, 1); }, "stdin can only be written to");
  refused([&]() { node.write(stdout, "x"_kj.asBytes()).wait(node.waitScope); },
          "stdout can only be read from");
  refused([&]() { node.write(node.stderr(process), "x"_kj.asBytes()).wait(node.waitScope); },
          "stderr can only be read from");
  node.close(stdin);
  refused([&]() { node.write(stdin, "x"_kj.asBytes()).wait(node.waitScope); }, "stdin is closed");
}

KJ_TEST("writing to a cell that has ended says so") {
  TestNode node;
  auto process = node.run("cell-plain", {"exit", "0"});
  auto stdin = node.stdin(process);
  KJ_EXPECT(node.wait(process) == 0);
  auto reason = failureOf([&]() { node.write(stdin, "x"_kj.asBytes()).wait(node.waitScope); });
  KJ_EXPECT(contains(reason, "ended: "), reason);
}

KJ_TEST("a write that waits for a guest fails when that guest is killed") {
  TestNode node;
  auto process = node.run("cell-plain", {"spin"});
  auto writing = node.write(node.stdin(process), pattern(MIB));
  KJ_EXPECT(node.read(node.stdout(process), 16).size() > 0);
  process.killRequest().send().wait(node.waitScope);
  auto reason = failureOf([&]() { writing.wait(node.waitScope); });
  KJ_EXPECT(contains(reason, "ended: "), reason);
}

KJ_TEST("a guest that sleeps for ages costs nothing meanwhile") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  for (auto ms: {"1000000000"_kj, "9300000000000"_kj, "18446744073709"_kj}) {
    TestNode node({}, timer);
    auto process = node.run("cell-plain", {"sleep", ms});
    KJ_EXPECT(node.read(node.stderr(process), 16) == "asleep\n"_kj.asBytes());
    node.waitScope.poll();
    auto polls = node.node.getEngine().pollCount();
    timer.advanceTo(timer.now() + 1 * kj::HOURS);
    node.waitScope.poll();
    KJ_EXPECT(node.node.getEngine().pollCount() == polls, ms);
  }
}

KJ_TEST("a guest sleeps on its clock") {
  TestNode node;
  KJ_EXPECT(node.runToEnd("cell-rpc", {"late-timer"}).code == 0);
  KJ_EXPECT(node.runToEnd("cell-plain", {"sleep", "2"}).out == "slept\n");
}

}  // namespace
}  // namespace ww
