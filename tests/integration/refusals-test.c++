// What runBytes refuses: each with one clear reason, and the node goes on.
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
  KJ_EXPECT(contains(overFrame, "overloaded: message: "), overFrame);
  KJ_EXPECT(node.answers());
}

}  // namespace
}  // namespace ww
