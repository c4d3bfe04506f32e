// Compilation, and what is kept of it: code from a store is used only when every byte is as it was.
#include <kj/debug.h>
#include <kj/mutex.h>
#include <ww/ffi/caching-compiler.h>
#include "compiler-fixture-test.h"

namespace ww::ffi {
namespace {

KJ_TEST("code is compiled once and then found") {
  Fixture f;
  auto compiled = f.compile();
  KJ_EXPECT(f.shelf.puts == 1);
  auto version = f.engine.getHandle().version();
  KJ_EXPECT(f.shelf.values.begin()->key == kj::str(contentId(WASM), '.', version));
  auto loaded = f.compile();
  KJ_EXPECT(f.shelf.puts == 1);
  auto size = compiled->artifact().size() - 1;
  KJ_EXPECT(f.codeOf(*loaded, size) == f.codeOf(*compiled, size));
}

KJ_TEST("an entry of which any byte is off is compiled again, and replaced") {
  Fixture f;
  auto code = f.codeOf(*f.compile());
  auto good = kj::heapArray<kj::byte>(f.onlyValue());
  auto refuses = [&](Bytes bad, size_t where) {
    f.onlyValue() = kj::heapArray(bad);
    auto before = f.shelf.puts;
    KJ_EXPECT(f.codeOf(*f.compile()) == code, where);
    KJ_EXPECT(f.shelf.puts == before + 1, where);
    KJ_EXPECT(contentId(f.onlyValue()) == contentId(good), where);
  };
  for (size_t size: {size_t(0), size_t(1), size_t(50), good.size() / 2, good.size() - 1}) {
    refuses(good.slice(0, size), size);
  }
  for (size_t i = 0; i < good.size(); i += good.size() / 40 + 1) {
    auto bad = kj::heapArray<kj::byte>(good);
    bad[i] ^= 0x20;
    refuses(bad, i);
  }
  for (size_t fromEnd = 1; fromEnd < 200; fromEnd += 7) {
    auto bad = kj::heapArray<kj::byte>(good);
    bad[good.size() - fromEnd] ^= 1;
    refuses(bad, good.size() - fromEnd);
  }
  auto longer = kj::heapArray<kj::byte>(good.size() + 1);
  memcpy(longer.begin(), good.begin(), good.size());
  longer[good.size()] = 0;
  refuses(longer, longer.size());
}

KJ_TEST("an entry that was made for another component is none for this one") {
  Fixture f;
  auto other = kj::heapArray<kj::byte>(sizeof(WASM) + 3);
  // The same with an empty custom section behind it: another content.
  memcpy(other.begin(), WASM, sizeof(WASM));
  other[sizeof(WASM)] = 0;
  other[sizeof(WASM) + 1] = 1;
  other[sizeof(WASM) + 2] = 0;
  f.compile();
  auto first = kj::heapArray<kj::byte>(f.onlyValue());
  f.compile(other);
  KJ_ASSERT(f.shelf.values.size() == 2);
  for (auto& entry: f.shelf.values) entry.value = kj::heapArray<kj::byte>(first);
  auto before = f.shelf.puts;
  f.compile();
  f.compile(other);
  KJ_EXPECT(f.shelf.puts == before + 1);
}

KJ_TEST("a store that fails costs the cache and nothing else") {
  Fixture f;
  f.shelf.broken = true;
  KJ_EXPECT(f.compile()->artifact().size() > 0);
}

KJ_TEST("what is wrong with bytes is said, and is theirs") {
  Fixture f;
  struct {
    Bytes wasm;
    kj::StringPtr reason;
  } cases[] = {{nullptr, "not a component: no bytes at all"},
               {kj::StringPtr("hello, world").asBytes(), "not a component: not WebAssembly"},
               {kj::arrayPtr(WASM, sizeof(WASM) - 9), "not a component: "},
               {UNLINKABLE, "this component cannot run here: "}};
  for (auto& c: cases) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { f.compile(c.wasm); })) {
      KJ_EXPECT(e->getDescription().startsWith(c.reason), e->getDescription());
      KJ_EXPECT(isComponentProblem(*e));
    } else {
      KJ_FAIL_EXPECT("compiled", c.reason);
    }
  }
  KJ_EXPECT(f.shelf.puts == 0);
  KJ_EXPECT(!isComponentProblem(KJ_EXCEPTION(FAILED, "the disk is full")));
}

KJ_TEST("components that wait take so much room and no more") {
  Fixture f;
  auto within = [](size_t bytes) {
    ThreadCompilerOptions options;
    options.maxTenantBytes = bytes;
    return options;
  };
  ThreadCompiler small(f.engine, within(sizeof(WASM) - 1)), enough(f.engine, within(sizeof(WASM)));
  auto compile = [&](Compiler& compiler) {
    kj::evalNow([&]() { return compiler.compile(kj::heapArray<kj::byte>(WASM)); })
        .wait(f.waitScope);
  };
  KJ_EXPECT_THROW_MESSAGE("overloaded: compilations: ", compile(small));
  for (int i = 0; i < 3; i++) compile(enough);  // what is done makes room
}

KJ_TEST("a compiler that goes with work before it leaves nobody waiting") {
  Fixture f;
  kj::Vector<kj::Promise<kj::Own<const Component>>> promises;
  {
    ThreadCompiler compiler(f.engine);
    for (int i = 0; i < 20; i++) promises.add(compiler.compile(kj::heapArray<kj::byte>(WASM)));
    { auto dropped = compiler.compile(kj::heapArray<kj::byte>(WASM)); }
  }
  for (auto& promise: promises) {
    kj::runCatchingExceptions([&]() { promise.wait(f.waitScope); });
  }
}

// Jobs that do nothing before the test says so, or before they are cancelled.
class HeldWorker final: public CompileWorker {
 public:
  struct State {
    kj::uint started = 0, cancelled = 0;
    kj::uint passed = 0;   // so many of the first may go on
    kj::byte latest = 0;   // the last byte of what was started last
    bool open = false;
  };
  const kj::MutexGuarded<State> state;

  kj::Own<Job> start(Bytes wasm, const kj::Maybe<CompileLimits>& limits) const override {
    auto lock = state.lockExclusive();
    ++lock->started;
    if (wasm.size() > 0) lock->latest = wasm.back();
    return kj::heap<HeldJob>(state, lock->started, kj::heapArray(wasm), limits != nullptr);
  }
  void open() const { state.lockExclusive()->open = true; }
  void pass(kj::uint count) const { state.lockExclusive()->passed = count; }
  kj::byte untilStarted(kj::uint count) const {
    return state.when([count](const State& s) { return s.started >= count; },
                      [](State& s) { return s.latest; });
  }
  void untilCancelled(kj::uint count) const {
    state.when([count](const State& s) { return s.cancelled >= count; }, [](State&) {});
  }

 private:
  class HeldJob final: public Job {
   public:
    HeldJob(const kj::MutexGuarded<State>& state, kj::uint number,
            kj::Array<const kj::byte> wasm, bool limited)
        : state(state), number(number), wasm(kj::mv(wasm)), limited(limited) {}
    kj::Own<const kj::ReadableFile> finish() override {
      state.when([this](const State& s) {
        return s.open || number <= s.passed || *gone.lockShared();
      }, [](State&) {});
      if (*gone.lockShared()) kj::throwFatalException(KJ_EXCEPTION(FAILED, "cancelled"));
      if (limited) kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "overloaded: compileTime: so"));
      auto file = kj::newInMemoryFile(kj::nullClock());
      file->writeAll(makeArtifact({}, wasm));
      return kj::Own<const kj::ReadableFile>(kj::mv(file));
    }
    void cancel() override {
      *gone.lockExclusive() = true;
      ++state.lockExclusive()->cancelled;
    }

   private:
    const kj::MutexGuarded<State>& state;
    const kj::uint number;
    kj::Array<const kj::byte> wasm;
    const bool limited;
    kj::MutexGuarded<bool> gone{false};
  };
};

struct WorkerFixture: Fixture {
  const HeldWorker& worker;
  ThreadCompiler compiler;

  explicit WorkerFixture(kj::uint threads = 1): WorkerFixture(kj::heap<HeldWorker>(), threads) {}

  kj::Promise<kj::Own<const Component>> ask(CompileTerms terms = {}, Bytes wasm = WASM) {
    return compiler.compile(kj::heapArray(wasm), terms);
  }

 private:
  WorkerFixture(kj::Own<HeldWorker> owned, kj::uint threads)
      : worker(*owned), compiler(engine, options(kj::mv(owned), threads)) {}
  ThreadCompilerOptions options(kj::Own<HeldWorker> worker, kj::uint threads) {
    ThreadCompilerOptions result;
    result.codeStore = codeStore();
    result.worker = kj::mv(worker);
    result.threads = threads;
    return result;
  }
};

KJ_TEST("one tenant's components keep no room from another's") {
  WorkerFixture f;
  ThreadCompilerOptions options;
  options.maxTenantBytes = 3 * sizeof(WASM);
  options.maxWaitingBytes = 5 * sizeof(WASM);
  options.worker = kj::heap<HeldWorker>();
  ThreadCompiler compiler(f.engine, kj::mv(options));
  kj::Vector<kj::Promise<kj::Own<const Component>>> promises;
  auto ask = [&](uint64_t tenant) {
    promises.add(compiler.compile(kj::heapArray<kj::byte>(WASM), {tenant, nullptr}));
  };
  auto held = kj::runCatchingExceptions([&]() { for (int i = 0; i < 9; i++) ask(1); });
  KJ_EXPECT(KJ_ASSERT_NONNULL(held).getDescription().startsWith("overloaded: compilations: "));
  ask(2);
}

KJ_TEST("a worker's code is kept and found, and without a store it is loaded as it is") {
  WorkerFixture f;
  f.worker.open();
  auto compiled = f.ask().wait(f.waitScope);
  KJ_EXPECT(f.shelf.puts == 1);
  KJ_EXPECT(f.codeOf(*f.ask().wait(f.waitScope)) == f.codeOf(*compiled));
  KJ_EXPECT(f.worker.state.lockShared()->started == 1);
  f.shelf.broken = true;
  KJ_EXPECT(f.codeOf(*f.ask().wait(f.waitScope)) == f.codeOf(*compiled));
  KJ_EXPECT(f.worker.state.lockShared()->started == 2);
  auto unlinkable = f.ask({}, UNLINKABLE);
  KJ_EXPECT_THROW_MESSAGE("this component cannot run here: ", unlinkable.wait(f.waitScope));
}

KJ_TEST("what a worker says went wrong is what is told, and is tried again") {
  WorkerFixture f;
  f.worker.open();
  for (int i = 0; i < 2; i++) {
    KJ_EXPECT_THROW(OVERLOADED, f.ask({1, CompileLimits{}}).wait(f.waitScope));
    KJ_EXPECT_THROW_MESSAGE("not a component", f.ask({}, nullptr).wait(f.waitScope));
  }
}

KJ_TEST("a compilation that nobody waits for any more is given up, however it was asked for") {
  WorkerFixture f;
  CachingCompiler caching(f.compiler);
  kj::Maybe<kj::Promise<kj::Own<const Component>>> one = f.ask();
  f.worker.untilStarted(1);
  one = nullptr;
  f.worker.untilCancelled(1);

  one = caching.compile(kj::heapArray<kj::byte>(WASM));
  kj::Maybe<kj::Promise<kj::Own<const Component>>> two =
      caching.compile(kj::heapArray<kj::byte>(WASM));
  f.worker.untilStarted(2);
  one = nullptr;
  KJ_EXPECT(f.worker.state.lockShared()->cancelled == 1, "somebody waits");
  two = nullptr;
  f.worker.untilCancelled(2);
  f.worker.open();
  caching.compile(kj::heapArray<kj::byte>(WASM)).wait(f.waitScope);
  KJ_EXPECT(f.worker.state.lockShared()->started == 3);
}

KJ_TEST("each tenant has one compilation at a time, and none waits behind another's") {
  WorkerFixture f(2);
  kj::byte other[sizeof(WASM) + 3] = {};  // the same with an empty custom section behind it
  memcpy(other, WASM, sizeof(WASM));
  other[sizeof(WASM) + 1] = 1;
  auto slow = f.ask({7, nullptr}), behind = f.ask({7, nullptr}, UNLINKABLE);
  f.worker.untilStarted(1);
  auto passes = f.ask({8, nullptr}, other);
  f.worker.untilStarted(2);
  KJ_EXPECT(!behind.poll(f.waitScope));
  f.worker.open();
  passes.wait(f.waitScope);
  slow.wait(f.waitScope);
  KJ_EXPECT_THROW_MESSAGE("this component cannot run here", behind.wait(f.waitScope));
  KJ_EXPECT(f.worker.state.lockShared()->started == 3);
}

KJ_TEST("what is stored, or waited for by another tenant too, is not waited for behind it") {
  WorkerFixture f(2);
  CachingCompiler caching(f.compiler, 1);
  f.worker.open();
  f.ask().wait(f.waitScope);  // it is stored
  f.worker.state.lockExclusive()->open = false;
  auto slow = caching.compile(kj::heapArray<const kj::byte>(UNLINKABLE), {7, nullptr});
  f.worker.untilStarted(2);
  f.ask({7, nullptr}).wait(f.waitScope);  // behind its own even
  auto same = caching.compile(kj::heapArray<const kj::byte>(UNLINKABLE), {8, nullptr});
  f.worker.untilStarted(3);
  f.worker.open();
  KJ_EXPECT_THROW_MESSAGE("this component cannot run here", slow.wait(f.waitScope));
  KJ_EXPECT_THROW_MESSAGE("this component cannot run here", same.wait(f.waitScope));
}

KJ_TEST("tenants take turns, however much one of them has waiting") {
  WorkerFixture f;  // one thread
  kj::Vector<kj::Promise<void>> others;
  kj::uint done = 0;
  auto wasmOf = [](kj::byte which) {
    kj::Vector<kj::byte> wasm;
    wasm.addAll(kj::arrayPtr(WASM, sizeof(WASM)));
    for (kj::byte b: {kj::byte(0), kj::byte(2), kj::byte(1), which}) wasm.add(b);
    return wasm.releaseAsArray();
  };
  for (kj::byte i = 0; i < 20; i++) {
    others.add(f.compiler.compile(wasmOf(i), {7, nullptr}).then([&](auto&&) { ++done; })
        .eagerlyEvaluate(nullptr));
  }
  f.worker.untilStarted(1);
  auto mine = f.compiler.compile(wasmOf(100), {8, nullptr});
  auto another = f.compiler.compile(wasmOf(101), {8, nullptr});
  f.compiler.untilLookedUp();
  f.worker.open();
  mine.wait(f.waitScope);
  another.wait(f.waitScope);
  KJ_EXPECT(done < 10, done);
}

KJ_TEST("who always has one waiting is not always first") {
  WorkerFixture f;  // one thread
  kj::byte next = 0;
  kj::Vector<kj::Promise<kj::Own<const Component>>> promises;
  auto ask = [&](uint64_t tenant) {
    kj::Vector<kj::byte> wasm;
    wasm.addAll(kj::arrayPtr(WASM, sizeof(WASM)));
    for (kj::byte b: {kj::byte(0), kj::byte(2), kj::byte(1), ++next}) wasm.add(b);
    promises.add(f.compiler.compile(wasm.releaseAsArray(), {tenant, nullptr}));
    f.compiler.untilLookedUp();
    return next;
  };
  ask(7);
  f.worker.untilStarted(1);
  auto first = ask(8), second = ask(8);
  auto theirs = ask(7);
  kj::uint turns = 1;
  for (; turns < 12; turns++) {
    f.worker.pass(turns);
    auto started = f.worker.untilStarted(turns + 1);
    if (started == second) break;
    if (started == theirs) theirs = ask(7);
    else KJ_EXPECT(started == first);
  }
  f.worker.open();
  for (auto& promise: promises) promise.wait(f.waitScope);
  KJ_EXPECT(turns <= 4, turns);
}

KJ_TEST("a compiler that goes ends what its worker does, and tells all who wait") {
  Fixture f;
  auto owned = kj::heap<HeldWorker>();
  auto& worker = *owned;
  ThreadCompilerOptions options;
  options.worker = kj::mv(owned);
  auto compiler = kj::heap<ThreadCompiler>(f.engine, kj::mv(options));
  kj::Vector<kj::Promise<kj::Own<const Component>>> promises;
  for (int i = 0; i < 3; i++) promises.add(compiler->compile(kj::heapArray<kj::byte>(WASM)));
  worker.untilStarted(1);
  compiler = nullptr;  // its threads are joined
  for (auto& promise: promises) KJ_EXPECT_THROW(FAILED, promise.wait(f.waitScope));
}

}  // namespace
}  // namespace ww::ffi
