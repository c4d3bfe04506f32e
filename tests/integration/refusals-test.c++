// What runBytes refuses: each with one clear reason, and the node goes on.
#include <kj/mutex.h>
#include <kj/test.h>
#include <random>
#include "test-node.h"
#include "wasm-bytes.h"

namespace ww {
namespace {

constexpr size_t MIB = 1 << 20;

void expectRefused(TestNode& node, kj::ArrayPtr<const kj::byte> wasm, Words texts) {
  auto reason = failureOf([&]() { node.run(wasm, {}); });
  for (auto text: texts) KJ_EXPECT(contains(reason, text), reason, text);
  KJ_EXPECT(node.node.getEngine().guestCount() == 0);
  KJ_EXPECT(node.answers());
}

kj::Array<kj::byte> zeros(size_t size) {
  auto bytes = kj::heapArray<kj::byte>(size);
  memset(bytes.begin(), 0, size);
  return bytes;
}

KJ_TEST("bytes that are no component") {
  TestNode node;
  auto whole = component("cell-plain");
  expectRefused(node, nullptr, {"not a component: no bytes at all"});
  for (auto size:
       {size_t(1), size_t(7), size_t(9), size_t(100), whole.size() / 2, whole.size() - 1}) {
    expectRefused(node, whole.slice(0, size), {"not a component: "});
  }
  constexpr kj::byte CORE[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
  expectRefused(node, CORE, {"not a component: ", "core WebAssembly module"});

  std::mt19937 random(1);
  auto noise = kj::heapArray<kj::byte>(100'000);
  for (auto& byte: noise) byte = random();
  expectRefused(node, noise, {"not a component: "});
}

kj::Array<kj::byte> withSection(kj::byte id, kj::ArrayPtr<const kj::byte> body) {
  auto bytes = emptyComponent();
  addSection(bytes, id, body);
  return bytes.releaseAsArray();
}

// One type, of a component that holds one type, and so on.
kj::Array<kj::byte> nestedTypes(size_t depth) {
  kj::Vector<kj::byte> body;
  body.add(1);
  for (size_t i = 0; i < depth; i++) {
    for (kj::byte byte: {0x41, 1, 1}) body.add(byte);
  }
  body.add(0x41);
  body.add(0);
  return withSection(7, body);
}

KJ_TEST("components that would use up the stack or the memory of who reads them") {
  TestNode node;
  for (auto depth: {100, 5'000, 40'000}) {
    expectRefused(node, nestedTypes(depth), {"this component cannot run here: "});
  }
  expectRefused(node, nestedTypes(1'000'000), {"not a component: types of 3000003 bytes"});
  kj::Array<kj::byte> nested = withSection(4, withSection(0, nullptr));
  for (int i = 0; i < 1000; i++) nested = withSection(4, nested);
  expectRefused(node, nested, {"not a component: components nested deeper than 16"});
}

KJ_TEST("components that cannot run here") {
  TestNode node;
  expectRefused(node, component("bare-unknown-import"),
                {"this component cannot run here: ", "wetware:fixtures/missing@0.1.0"});
  expectRefused(node, component("bare-no-run"),
                {"this component cannot run here: ", "wasi:cli/run"});
  expectRefused(node, component("bare-trap-at-start"),
                {"could not be instantiated", "unreachable"});
  expectRefused(node, component("bare-big-memory"), {"could not be instantiated", "memory"});
  KJ_EXPECT(node.runToEnd("bare-ok", {}).code == 0);
}

KJ_TEST("any 0.2.x of WASI links, and what was not granted is denied") {
  TestNode node;
  for (auto name: {"bare-old-wasi"_kj, "bare-new-wasi"_kj}) {
    KJ_EXPECT(node.runToEnd(name, {}).code == 0, name, node.logger.getLines());
  }
}

KJ_TEST("a component that never gets to run is given up") {
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  TestNode node({}, timer);
  auto request = node.executor.runBytesRequest();
  request.setWasm(component("bare-spin-at-start"));
  auto promise = request.send();
  node.untilGuests(1);
  timer.advanceTo(timer.now() + 5 * kj::SECONDS);
  auto reason = failureOf([&]() { promise.wait(node.waitScope); });
  KJ_EXPECT(contains(reason, "was not instantiated within 5s"), reason);
  KJ_EXPECT(node.node.getEngine().guestCount() == 0);
}

KJ_TEST("a start that nobody waits for any more is given up") {
  TestNode node;
  {
    auto request = node.executor.runBytesRequest();
    request.setWasm(component("bare-spin-at-start"));
    auto promise = request.send();
    node.untilGuests(1);
    // The call goes on, as Cap'n Proto's calls do; its session's end is what ends it.
  }
  node.heads.advance();
  node.untilGuests(0);
}

KJ_TEST("48 MiB of zeros, and what is larger") {
  TestNode node;
  expectRefused(node, zeros(48 * MIB), {"not a component: "});
  expectRefused(node, zeros(48 * MIB + 1), {"overloaded: wasm", "50331648"});
  KJ_EXPECT(node.node.getHits().count(LimitKind::WASM) == 1);
  KJ_EXPECT(node.logged("a limit was hit limit=wasm"));
}

KJ_TEST("arguments and variables, as many as may be, and more") {
  TestNode node;
  auto reason = [&](kj::uint args, kj::uint env, size_t size) {
    auto request = node.executor.runBytesRequest();
    request.setWasm(component("bare-ok"));
    auto text = kj::heapString(size + 2);
    memset(text.begin(), '=', text.size());
    text[0] = 'A';
    auto all = request.initArgs(args);
    for (kj::uint i = 0; i < args; i++) all.set(i, text);
    all = request.initEnv(env);
    for (kj::uint i = 0; i < env; i++) all.set(i, text);
    return failureOf([&]() { request.send().wait(node.waitScope); });
  };
  auto hits = [&](LimitKind kind) { return node.node.getHits().count(kind); };
  KJ_EXPECT(reason(4096, 4096, 100) == "");
  KJ_EXPECT(hits(LimitKind::ARGS) == 0 && hits(LimitKind::ENV) == 0);
  KJ_EXPECT(reason(4097, 1, 1) == "overloaded: args: 4097 texts; the limit is 4096");
  KJ_EXPECT(reason(1, 2, 600'000) == "overloaded: env: 1200004 bytes; the limit is 1048576");
  KJ_EXPECT(hits(LimitKind::ARGS) == 1 && hits(LimitKind::ENV) == 1);
}

KJ_TEST("arguments and variables are the cell's memory") {
  auto large = kj::heapString(1'000'000);
  memset(large.begin(), '=', large.size());
  uint64_t none, most;
  {
    TestNode node;
    auto peakWith = [&](Words args, Words env) {
      auto process = node.run("bare-ok", args, env);
      process.waitRequest().send().wait(node.waitScope);
      return process.infoRequest().send().wait(node.waitScope).getInfo().getMemoryPeakBytes();
    };
    none = peakWith({"bare-ok"}, {});
    KJ_EXPECT(peakWith({"bare-ok", "a few", "more"}, {"A=B"}) == none);
    most = peakWith({large}, {large});
    KJ_EXPECT(most > none + 1'900'000 && most < none + 2'100'000, none, most);
  }
  NodeOptions options;
  options.cell.memoryBytes = none + 1'500'000;
  TestNode small(options);
  small.run("bare-ok", {large}, {});
  auto why = failureOf([&]() { small.run("bare-ok", {large}, {large}); });
  KJ_EXPECT(contains(why, "exceeds memory limits"), why);
  KJ_EXPECT(small.node.getHits().count(LimitKind::MEMORY) == 1);
}

KJ_TEST("more cells than the engine has room for are refused, and counted") {
  NodeOptions options;
  options.engine.maxGuests = 3;
  TestNode node(options);
  kj::Vector<Process::Client> cells;
  for (int i = 0; i < 3; i++) cells.add(node.run("cell-plain", {"park"}));
  auto why = failureOf([&]() { node.run("cell-plain", {"park"}); });
  KJ_EXPECT(contains(why, "overloaded: cells: so many run on this node; the limit is 3"), why);
  KJ_EXPECT(node.node.getHits().count(LimitKind::HELD) == 1);
}

// Never done.
class BusyWorker final: public ffi::CompileWorker {
 public:
  kj::Own<Job> start(kj::ArrayPtr<const kj::byte>,
                     const kj::Maybe<ffi::CompileLimits>&) const override {
    return kj::heap<BusyJob>();
  }

 private:
  class BusyJob final: public Job {
   public:
    kj::Own<const kj::ReadableFile> finish() override {
      cancelled.when([](const bool& c) { return c; }, [](bool&) {});
      kj::throwFatalException(KJ_EXCEPTION(FAILED, "cancelled"));
    }
    void cancel() override { *cancelled.lockExclusive() = true; }

   private:
    kj::MutexGuarded<bool> cancelled{false};
  };
};

KJ_TEST("more components than may wait to be compiled are refused, and counted") {
  TestNode node({}, kj::heap<BusyWorker>());
  kj::Vector<kj::Promise<void>> running;
  kj::String why;
  auto ask = [&](uint16_t which) {
    auto wasm = zeros(250'000);  // short enough to be refused at once
    memcpy(wasm.begin(), &which, sizeof(which));
    auto request = node.executor.runBytesRequest();
    request.setWasm(wasm);
    running.add(request.send().ignoreResult().eagerlyEvaluate([&](kj::Exception&& e) {
      why = kj::str(e.getDescription());
    }));
  };
  for (uint16_t i = 0; why == "" && i < 700; i++) {
    ask(i);
    node.waitScope.poll();
  }
  KJ_EXPECT(why.startsWith("overloaded: compilations: "), why);
  KJ_EXPECT(node.node.getHits().count(LimitKind::COMPILATIONS) == 1);
  KJ_EXPECT(node.logged("a limit was hit limit=compilations"));
}

// A message above the link's frame limit, which the SDK does not send, is rpc-link-test.c++'s.
KJ_TEST("the same from a guest, over its link") {
  TestNode node;
  auto big = [&](size_t size) {
    auto outcome = node.runToEnd("cell-rpc", {"big", kj::str(size)});
    return kj::str(outcome.out, outcome.err);
  };
  auto zeros48 = big(48 * MIB);
  KJ_EXPECT(zeros48.startsWith("failed: not a component: "), zeros48);
  auto over = big(49 * MIB);
  KJ_EXPECT(over.startsWith("overloaded: overloaded: wasm"), over);
  auto overFrame = big(64 * MIB);
  // Cap'n Proto's own network has words of its own for what it does not send.
  auto stock = getenv("WW_TEST_STOCK_GUESTS") != nullptr;
  KJ_EXPECT(contains(overFrame, stock ? "larger than our single-message size limit"_kj
                                      : "overloaded: message: "_kj), overFrame);
  KJ_EXPECT(node.answers());
}

}  // namespace
}  // namespace ww
