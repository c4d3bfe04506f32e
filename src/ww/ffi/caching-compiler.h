#pragma once
// Keeps the latest components in memory, by content, and has each compiled once however many ask.

#include <kj/async.h>
#include <kj/map.h>
#include <kj/mutex.h>
#include <ww/ffi/compiler.h>
#include <ww/ffi/hasher.h>
#include <ww/ffi/recent-components.h>

namespace ww::ffi {

// Those that are kept, of all loops. Any thread.
class KeptComponents final: public kj::AtomicRefcounted {
 public:
  static constexpr size_t DEFAULT_ENTRIES = 64;

  // `most` at the most, the last used ones.
  explicit KeptComponents(size_t most = DEFAULT_ENTRIES): most(kj::max(most, size_t(1))) {}
  KJ_DISALLOW_COPY_AND_MOVE(KeptComponents);

  kj::Maybe<kj::Own<const Component>> find(kj::StringPtr id) const;
  void keep(kj::StringPtr id, kj::Own<const Component> component) const;

 private:
  struct Kept {
    kj::Own<const Component> component;
    uint64_t lastUse;
  };
  struct State {
    uint64_t uses = 0;
    kj::HashMap<kj::String, Kept> kept;  // by content
  };
  static kj::Maybe<kj::String> findOldest(const State& state);

  const size_t most;
  kj::MutexGuarded<State> state;
};

class CachingCompiler final: public Compiler, private kj::TaskSet::ErrorHandler {
 public:
  // Outlives the promises it gave. Lives on one loop; `kept` may be shared with others'.
  explicit CachingCompiler(
      Compiler& inner,
      kj::Own<const KeptComponents> kept = kj::atomicRefcounted<KeptComponents>());
  explicit CachingCompiler(Compiler& inner, size_t maxEntries);
  KJ_DISALLOW_COPY_AND_MOVE(CachingCompiler);

  // What failed is not kept: it is tried again. What nobody waits for any more is given up. Each
  // tenant waits for a compilation of its own, in its own turn; what has been compiled is all's.
  kj::Promise<kj::Own<const Component>> compile(kj::Array<const kj::byte> wasm,
                                                CompileTerms terms = {}) override;
  kj::Maybe<kj::Own<const Component>> findRecent(kj::ArrayPtr<const kj::byte> wasm) override {
    return recent.find(wasm);
  }

 private:
  using Shared = kj::Own<const Component>;
  class Interest;
  struct Pending {
    kj::ForkedPromise<Shared> promise;
    kj::Maybe<Interest&> interest;  // of those who wait; none once it is done
  };

  kj::Promise<Shared> compile(kj::Array<const kj::byte> wasm, kj::String id, CompileTerms terms);
  kj::Promise<Shared> join(Pending& entry);
  void taskFailed(kj::Exception&& exception) override;

  Compiler& inner;
  kj::Own<const KeptComponents> kept;
  kj::HashMap<kj::String, Pending> pending;  // by tenant and content
  kj::TaskSet forgetting;
  Hasher hasher;
  RecentComponents recent;  // those that were asked for again
};

}  // namespace ww::ffi
