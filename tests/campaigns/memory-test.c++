// Cells that take what they can get: memory, tables, instances, handles.
#include "campaign.h"
#include "wasm-bytes.h"

namespace ww {
namespace {

constexpr uint64_t MIB = 1 << 20;

int32_t runBomb(TestNode& node, Words args) { return node.wait(node.run("bombs", args)); }

struct Hits {
  TestNode& node;
  LimitKind kind;
  uint64_t before = node.node.getHits().count(kind);
  uint64_t now() const { return node.node.getHits().count(kind) - before; }
};

KJ_TEST("cells that touch all the memory they get, 4 GiB in all, take no more than they may") {
  TestNode node;
  campaign("memory", node, [&]() {
    Hits hits{node, LimitKind::MEMORY};
    auto before = residentBytes();
    uint64_t most = 0;
    for (int i = 0; i < 8; i++) {  // and again in the second round
      auto cell = node.run("bombs", {"memory"});
      KJ_EXPECT(node.read(TestNode::stdout(cell), 100) == "full"_kj.asBytes());
      most = kj::max(most, residentBytes());
      cell.killRequest().send().wait(node.waitScope);
    }
    KJ_EXPECT(hits.now() == 8);
    auto taken = most > before ? most - before : 0;
    KJ_EXPECT(taken > 200 * MIB && taken <= (256 + 16) * MIB, taken / MIB);
  });
}

KJ_TEST("tables are refused above 65,536 elements, and not below") {
  TestNode node;
  campaign("tables", node, [&]() {
    Hits hits{node, LimitKind::TABLES};
    KJ_EXPECT(runBomb(node, {"tables", "65000"}) == 0);
    KJ_EXPECT(hits.now() == 0);
    KJ_EXPECT(runBomb(node, {"tables", "65537"}) == 1);
    KJ_EXPECT(runBomb(node, {"tables", "1000000"}) == 1);
    KJ_EXPECT(hits.now() == 2);
    // More than a table's place has: the engine does not even ask.
    KJ_EXPECT(runBomb(node, {"tables", "2000000000"}) == 1);
  });
}

Bytes moduleWithMemory(kj::byte flags, uint64_t pages) {
  auto module = emptyModule();
  Bytes memory;
  memory.add(1);
  memory.add(flags);
  addLeb(memory, pages);
  addSection(module, 5, memory);
  return module;
}

KJ_TEST("more instances and memories than a cell may have are refused, and as many are not") {
  TestNode node;
  auto ok = component("bare-ok");
  auto runs = [&](kj::ArrayPtr<const kj::byte> module, kj::uint count) {
    return failureOf([&]() { node.run(withInstances(ok, module, count), {}); });
  };
  auto nothing = emptyModule(), memory = moduleWithMemory(0, 1);
  campaign("instances", node, [&]() {
    Hits instances{node, LimitKind::INSTANCES}, memories{node, LimitKind::MEMORIES};
    KJ_EXPECT(runs(nothing, 90) == "" && runs(memory, 7) == "");
    KJ_EXPECT(instances.now() == 0 && memories.now() == 0);
    auto why = runs(nothing, 101);
    KJ_EXPECT(contains(why, "instance"), why);
    KJ_EXPECT(instances.now() == 1);
    why = runs(memory, 9);
    KJ_EXPECT(contains(why, "memory"), why);
    KJ_EXPECT(memories.now() == 1);
  });
}

Bytes moduleWithGlobals(kj::uint count) {
  auto module = emptyModule();
  Bytes globals;
  addLeb(globals, count);
  for (kj::uint i = 0; i < count; i++) {
    for (kj::byte byte: {0x7e, 1, 0x42, 5, 0x0b}) globals.add(byte);  // a mutable i64
  }
  addSection(module, 6, globals);
  return module;
}

// Elements that no table has yet.
Bytes moduleWithElements(kj::uint count) {
  constexpr kj::byte TYPES[] = {1, 0x60, 0, 0}, FUNCTIONS[] = {1, 0}, CODE[] = {1, 2, 0, 0x0b};
  auto module = emptyModule();
  Bytes elements;
  for (kj::byte byte: {1, 1, 0}) elements.add(byte);
  addLeb(elements, count);
  for (kj::uint i = 0; i < count; i++) elements.add(0);
  addSection(module, 1, kj::arrayPtr(TYPES, sizeof(TYPES)));
  addSection(module, 3, kj::arrayPtr(FUNCTIONS, sizeof(FUNCTIONS)));
  addSection(module, 9, elements);
  addSection(module, 10, kj::arrayPtr(CODE, sizeof(CODE)));
  return module;
}

// Bytes that are copied where a global says.
Bytes moduleWithData(kj::uint bytes) {
  constexpr kj::byte GLOBALS[] = {2, 0x7f, 0, 0x41, 0, 0x0b, 0x7f, 0, 0x23, 0, 0x0b};
  auto module = moduleWithMemory(0, bytes / 65536 + 1);
  addSection(module, 6, kj::arrayPtr(GLOBALS, sizeof(GLOBALS)));
  Bytes data;
  for (kj::byte byte: {1, 0, 0x23, 1, 0x0b}) data.add(byte);
  addLeb(data, bytes);
  for (kj::uint i = 0; i < bytes; i++) data.add(i);
  addSection(module, 11, data);
  return module;
}

// The longest that the loop was at one thing meanwhile.
kj::Duration longestEvent(TestNode& node, kj::ArrayPtr<const kj::byte> wasm) {
  auto& clock = kj::systemPreciseMonotonicClock();
  kj::Duration longest = 0 * kj::SECONDS;
  bool done = false;
  auto request = node.executor.runBytesRequest();
  request.setWasm(wasm);
  auto running = request.send().ignoreResult().then([&]() { done = true; })
      .eagerlyEvaluate([&](kj::Exception&& e) { KJ_FAIL_EXPECT(e); done = true; });
  while (!done) {
    auto begun = clock.now();
    node.waitScope.poll(1);
    longest = kj::max(longest, clock.now() - begun);
  }
  return longest;
}

KJ_TEST("the largest component is taken in many short turns") {
  TestNode node;
  Bytes wasm;
  wasm.addAll(component("bare-ok"));
  auto nothing = kj::heapArray<kj::byte>(47 << 20);  // a custom section's
  memset(nothing.begin(), 0, nothing.size());
  addSection(wasm, 0, nothing);
  for (auto which: {"first", "next"}) {
    say(kj::str("    47 MiB, the ", which, " time: the longest turn of the loop is ",
                longestEvent(node, wasm) / kj::MICROSECONDS, " us"));
  }
  KJ_EXPECT(node.answers());
}

KJ_TEST("what instances have at their start is bounded over all of them, and is short") {
  TestNode node;
  auto ok = component("bare-ok");
  struct {
    kj::StringPtr name;
    Bytes module;
    kj::uint most;  // instances
  } kinds[] = {{"globals", moduleWithGlobals(100'000), 10},
               {"elements", moduleWithElements(100'000), 5},
               {"data", moduleWithData(9 << 20), 7}};
  for (auto& kind: kinds) {
    Hits hits{node, LimitKind::INSTANCES};
    auto most = withInstances(ok, kind.module, kind.most);
    longestEvent(node, most);  // which compiles it
    say(kj::str("    at most ", kind.name, ": the longest turn of the loop is ",
                longestEvent(node, most) / kj::MICROSECONDS, " us"));
    KJ_EXPECT(hits.now() == 0);
    auto why = failureOf([&]() {
      node.run(withInstances(ok, kind.module, kind.most + 1), {});
    });
    KJ_EXPECT(why.startsWith("overloaded: instances: "), why);
    KJ_EXPECT(hits.now() == 1);
  }
  KJ_EXPECT(node.answers());
}

KJ_TEST("what instances have at their start is the cell's memory") {
  NodeOptions options;
  options.cell.memoryBytes = 10 << 20;
  TestNode node(options);
  auto ok = component("cell-plain");
  auto run = [&](kj::uint count) {
    return node.run(withInstances(ok, moduleWithGlobals(100'000), count), {"park"});
  };
  auto few = run(3);
  auto info = few.infoRequest().send().wait(node.waitScope);
  KJ_EXPECT(info.getInfo().getMemoryBytes() > 4'800'000, info.getInfo().getMemoryBytes());
  auto why = failureOf([&]() { run(7); });
  KJ_EXPECT(why.startsWith("overloaded: memory: "), why);
  KJ_EXPECT(node.node.getHits().count(LimitKind::MEMORY) == 1);
}

KJ_TEST("a memory of 64 bits has the limits of any other") {
  TestNode node;
  auto ok = component("bare-ok");
  campaign("memory64", node, [&]() {
    auto runs = [&](uint64_t pages) {
      return failureOf([&]() {
        node.run(withInstances(ok, moduleWithMemory(4, pages), 1), {});
      });
    };
    KJ_EXPECT(runs(1) == "" && runs(1000) == "");
    for (uint64_t pages: {uint64_t(4096), uint64_t(1) << 16}) {
      auto why = runs(pages);
      KJ_EXPECT(contains(why, "exceeds memory limits"), why, pages);
    }
    auto why = runs(uint64_t(1) << 47);
    KJ_EXPECT(why.startsWith("this component cannot run here: ") &&
              contains(why, "exceeds the limit of 0x100000000 bytes"), why);
  });
}

KJ_TEST("a million timers and streams that are held trap at the limit; those let go do not") {
  TestNode node;
  campaign("handles", node, [&]() {
    Hits hits{node, LimitKind::RESOURCES};
    for (int i = 0; i < 50; i++) {
      KJ_EXPECT(runBomb(node, {"timers", "1000000"}) == EXIT_TRAP);
      KJ_EXPECT(runBomb(node, {"streams", "1000000"}) == EXIT_TRAP);
    }
    KJ_EXPECT(hits.now() == 100);
    KJ_EXPECT(runBomb(node, {"timers", "4900"}) == 0);  // each a timer, and what waits for it
    KJ_EXPECT(runBomb(node, {"streams", "9900"}) == 0);
    KJ_EXPECT(runBomb(node, {"timers-dropped", "1000000"}) == 0);
    KJ_EXPECT(runBomb(node, {"drop-twice"}) == EXIT_TRAP);
    KJ_EXPECT(hits.now() == 100);
  });
}

KJ_TEST("what one call may ask for, and hand over, is bounded") {
  TestNode node;
  campaign("calls", node, [&]() {
    Hits random{node, LimitKind::RANDOM_BYTES}, bytes{node, LimitKind::HOSTCALL_BYTES};
    KJ_EXPECT(runBomb(node, {"random", "65536"}) == 0);
    KJ_EXPECT(random.now() == 0);
    KJ_EXPECT(runBomb(node, {"random", "65537"}) == EXIT_TRAP);
    KJ_EXPECT(runBomb(node, {"random", "4000000000"}) == EXIT_TRAP);
    KJ_EXPECT(random.now() == 2);
    // As much as a pipe takes; more than that, which is the guest's own mistake; more than a call
    // may hand over.
    KJ_EXPECT(runBomb(node, {"write", "65536"}) == 0);
    KJ_EXPECT(runBomb(node, {"write", "4000000"}) == EXIT_TRAP);
    KJ_EXPECT(bytes.now() == 0);
    KJ_EXPECT(runBomb(node, {"write", "4194305"}) == EXIT_TRAP);
    KJ_EXPECT(bytes.now() == 1);
  });
}

}  // namespace
}  // namespace ww
