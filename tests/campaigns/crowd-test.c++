// Cells that flood their pipes, start others without end, or send bombs to the compiler.
#include <ww/node/compile-worker.h>
#include "campaign.h"
#include "wasm-bytes.h"

namespace ww {
namespace {

// Its own component is what it starts others from.
kj::String runOnItself(TestNode& node, Process::Client process) {
  auto stdin = node.stdin(process);
  node.write(stdin, component("cell-rpc")).wait(node.waitScope);
  node.close(stdin);
  return node.readAll(node.stdout(process));
}

uint64_t infoIdOf(TestNode& node, Process::Client process) {
  return process.infoRequest().send().wait(node.waitScope).getInfo().getId();
}

KJ_TEST("1 GiB of writes that nobody reads, and 1,000 reads, hold no more than a link may") {
  TestNode node;
  campaign("floods", node, [&]() {
    auto before = residentBytes();
    auto cell = node.run("cell-rpc", {"flood"});
    auto said = runOnItself(node, cell);
    auto after = residentBytes();
    say(kj::str(said, "resident: ", (int64_t(after) - int64_t(before)) >> 20, " MiB more"));
    KJ_EXPECT(contains(said, "writes: 1 done, "), said);
    KJ_EXPECT(contains(said, "waiting, the others: overloaded: heldBytes"), said);
    KJ_EXPECT(contains(said, "reads: 0 done, 16 waiting, the others: overloaded: reads"), said);
    KJ_EXPECT(node.wait(cell) == 0);
    auto id = infoIdOf(node, cell);
    KJ_EXPECT(node.logged(kj::str("a limit was hit limit=reads cell=", id, " value=16")));
    KJ_EXPECT(node.logged(kj::str("a limit was hit limit=heldBytes cell=", id,
                                  " value=16777216")));
  });
}

KJ_TEST("a cell that starts others without end is refused the 65th, and its end ends them") {
  TestNode node;
  campaign("forks", node, [&]() {
    auto cell = node.run("cell-rpc", {"fork"});
    auto stdin = node.stdin(cell);
    node.write(stdin, component("cell-rpc")).wait(node.waitScope);
    node.close(stdin);
    auto said = kj::str(node.read(node.stdout(cell), 1000).asChars());
    // With itself and the victim they are 64.
    KJ_EXPECT(said.startsWith("62: overloaded: descendants"), said);
    cell.killRequest().send().wait(node.waitScope);
    KJ_EXPECT(node.wait(cell) == EXIT_KILLED);
    node.untilGuests(1);
  });
}

KJ_TEST("bombs for the compiler are refused or given up; what is honest is compiled after them") {
  NodeOptions options;
  options.cell.compile.cpu = 1 * kj::SECONDS;
  options.cell.compile.memoryBytes = 400 << 20;
  TestNode node(options, kj::heap<ProcessCompileWorker>(options.engine, WW_PROGRAM));
  auto huge = kj::heapArray<kj::byte>(64 << 20);
  memset(huge.begin(), 0, huge.size());
  auto slow = componentOf(4500, 1000), many = componentOf(100'000, 45),
       large = componentOf(1, 500'000);
  auto nested = emptyComponent();
  for (int i = 0; i < 1000; i++) {
    auto outer = emptyComponent();
    addSection(outer, 4, nested);
    nested = kj::mv(outer);
  }
  kj::uint rounds = 0;
  campaign("compile bombs", node, [&]() {
    auto refusal = [&](kj::ArrayPtr<const kj::byte> wasm) {
      return failureOf([&]() { node.run(wasm, {}); });
    };
    kj::String why;
    for (int i = 0; i < 2; i++) {
      why = refusal(huge);
      KJ_EXPECT(contains(why, "overloaded: wasm"), why);
      why = refusal(nested);
      KJ_EXPECT(contains(why, "nested deeper"), why);
      for (auto& bomb: {slow.asPtr(), many.asPtr(), large.asPtr()}) {
        why = refusal(bomb);
        KJ_EXPECT(contains(why, "overloaded: compileTime") ||
                  contains(why, "overloaded: compileMemory"), why);
      }
    }
    // Compiled, and found to be no program.
    why = refusal(componentOf(1, 1000 + ++rounds));
    KJ_EXPECT(contains(why, "does not export wasi:cli/run"), why);
  });
}

}  // namespace
}  // namespace ww
