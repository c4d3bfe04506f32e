#include <ww/ffi/caching-compiler.h>

#include "compiler-fixture-test.h"

namespace ww::ffi {
namespace {

// Compiles when the test says so.
class HeldCompiler final: public Compiler {
 public:
  explicit HeldCompiler(const EngineHandle& engine): engine(engine) {}
  kj::Promise<kj::Own<const Component>> compile(kj::Array<const kj::byte> wasm,
                                                CompileTerms) override {
    ++calls;
    auto paf = kj::newPromiseAndFulfiller<void>();
    waiting.add(kj::mv(paf.fulfiller));
    return paf.promise.then([this, wasm = kj::mv(wasm)]() {
      return Component::compile(engine, wasm);
    });
  }
  bool release() {
    auto now = kj::mv(waiting);
    for (auto& each: now) each->fulfill();
    return now.size() > 0;
  }

  kj::uint calls = 0;

 private:
  const EngineHandle& engine;
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiting;
};

KJ_TEST("bytes that came again are known without hashing, and no others") {
  Fixture f;
  HeldCompiler inner(f.engine.getHandle());
  CachingCompiler compiler(inner);
  auto ask = [&]() { return compiler.compile(kj::heapArray<kj::byte>(WASM)); };
  auto first = ask();
  inner.release();
  auto component = first.wait(f.waitScope);
  KJ_EXPECT(compiler.findRecent(WASM) == nullptr, "only once");
  ask().wait(f.waitScope);
  ask().wait(f.waitScope);
  auto twin = KJ_ASSERT_NONNULL(compiler.findRecent(WASM));
  KJ_EXPECT(twin->getId() == component->getId());
  KJ_EXPECT(twin.get() != component.get(), "counted apart");
  KJ_EXPECT(KJ_ASSERT_NONNULL(compiler.findRecent(WASM)).get() == twin.get());
  auto other = kj::heapArray<kj::byte>(WASM);
  other.back() ^= 1;
  KJ_EXPECT(compiler.findRecent(other) == nullptr);
  KJ_EXPECT(compiler.findRecent(other.slice(0, other.size() - 1)) == nullptr);
}

KJ_TEST("of recent components the last ones found are kept, in bounded memory") {
  Fixture f;
  auto component = Component::compile(f.engine.getHandle(), WASM);
  RecentComponents recent;
  auto bytes = [](kj::byte mark, size_t size) {
    auto result = kj::heapArray<kj::byte>(size);
    memset(result.begin(), mark, size);
    return result;
  };
  constexpr size_t SIZE = RecentComponents::MOST_BYTES_OF_ONE;
  constexpr kj::byte COUNT = RecentComponents::MOST_BYTES / SIZE;
  recent.keep(bytes(99, SIZE + 1), component->addRef());
  KJ_EXPECT(recent.find(bytes(99, SIZE + 1)) == nullptr, "too large");
  for (kj::byte i = 0; i < COUNT; i++) recent.keep(bytes(i, SIZE), component->addRef());
  KJ_EXPECT(recent.find(bytes(0, SIZE)) != nullptr);
  recent.keep(bytes(COUNT, SIZE), component->addRef());
  KJ_EXPECT(recent.find(bytes(1, SIZE)) == nullptr);
  KJ_EXPECT(recent.find(bytes(0, SIZE)) != nullptr && recent.find(bytes(COUNT, SIZE)) != nullptr);

  constexpr kj::byte MOST = RecentComponents::MOST;
  for (kj::byte i = 0; i <= MOST; i++) recent.keep(bytes(i, 10), component->addRef());
  KJ_EXPECT(recent.find(bytes(0, 10)) == nullptr && recent.find(bytes(0, SIZE)) == nullptr);
  for (kj::byte i = 1; i <= MOST; i++) KJ_EXPECT(recent.find(bytes(i, 10)) != nullptr, i);
}

KJ_TEST("however many ask for the same bytes, they are compiled once") {
  Fixture f;
  HeldCompiler inner(f.engine.getHandle());
  CachingCompiler compiler(inner);
  auto ask = [&]() { return compiler.compile(kj::heapArray<kj::byte>(WASM)); };
  auto first = ask(), second = ask();
  { auto dropped = ask(); }
  KJ_EXPECT(inner.calls == 1);
  inner.release();
  auto component = first.wait(f.waitScope);
  KJ_EXPECT(second.wait(f.waitScope).get() == component.get());
  KJ_EXPECT(ask().wait(f.waitScope).get() == component.get());
  KJ_EXPECT(inner.calls == 1);
}

KJ_TEST("what is long is hashed elsewhere, and is found as before") {
  Fixture f;
  HeldCompiler inner(f.engine.getHandle());
  CachingCompiler compiler(inner);
  kj::Vector<kj::byte> wasm;  // with a custom section behind it
  wasm.addAll(kj::arrayPtr(WASM, sizeof(WASM)));
  for (kj::byte byte: {0x00, 0x80, 0x80, 0x40, 0x01, 0x61}) wasm.add(byte);
  wasm.resize(wasm.size() + (1 << 20) - 2);
  auto ask = [&]() { return compiler.compile(kj::heapArray<kj::byte>(wasm.asPtr())); };
  auto first = ask(), second = ask();
  KJ_EXPECT(inner.calls == 0, "the loop did it");
  while (inner.calls == 0 || !inner.release()) f.waitScope.poll();
  auto component = first.wait(f.waitScope);
  KJ_EXPECT(component->getId() == contentId(wasm));
  KJ_EXPECT(second.wait(f.waitScope).get() == component.get());
  KJ_EXPECT(ask().wait(f.waitScope).get() == component.get());
  KJ_EXPECT(inner.calls == 1);
}

KJ_TEST("a failure reaches all who wait, and is tried again") {
  Fixture f;
  HeldCompiler inner(f.engine.getHandle());
  CachingCompiler compiler(inner);
  for (kj::uint round = 1; round <= 2; round++) {
    auto one = compiler.compile(nullptr), two = compiler.compile(nullptr);
    KJ_EXPECT(inner.calls == round);
    inner.release();
    KJ_EXPECT_THROW_MESSAGE("not a component", one.wait(f.waitScope));
    KJ_EXPECT_THROW_MESSAGE("not a component", two.wait(f.waitScope));
    f.waitScope.poll();
  }
}

KJ_TEST("the latest are kept, the longest unused go") {
  Fixture f;
  HeldCompiler inner(f.engine.getHandle());
  CachingCompiler compiler(inner, 2);
  auto ask = [&](kj::byte which) {
    // Another custom section, another content.
    auto wasm = kj::heapArray<kj::byte>(sizeof(WASM) + 4);
    memcpy(wasm.begin(), WASM, sizeof(WASM));
    kj::byte section[] = {0, 2, 1, which};
    memcpy(wasm.begin() + sizeof(WASM), section, sizeof(section));
    auto promise = compiler.compile(kj::mv(wasm));
    inner.release();
    promise.wait(f.waitScope);
    return inner.calls;
  };
  KJ_EXPECT(ask('a') == 1);
  KJ_EXPECT(ask('b') == 2);
  KJ_EXPECT(ask('a') == 2);
  KJ_EXPECT(ask('c') == 3);  // instead of b
  KJ_EXPECT(ask('a') == 3);
  KJ_EXPECT(ask('b') == 4);
}

}  // namespace
}  // namespace ww::ffi
