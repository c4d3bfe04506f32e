#pragma once
// Keeps the latest components in memory, by content, and has each compiled once however many ask.

#include <kj/async.h>
#include <kj/map.h>
#include <ww/ffi/compiler.h>
#include <ww/ffi/hasher.h>

namespace ww::ffi {

class CachingCompiler final: public Compiler, private kj::TaskSet::ErrorHandler {
 public:
  static constexpr size_t DEFAULT_ENTRIES = 64;

  // Keeps `maxEntries` components at the most, the last used ones. Outlives the promises it gave.
  explicit CachingCompiler(Compiler& inner, size_t maxEntries = DEFAULT_ENTRIES);
  KJ_DISALLOW_COPY_AND_MOVE(CachingCompiler);

  // What failed is not kept: it is tried again. What nobody waits for any more is given up. Each
  // tenant waits for a compilation of its own, in its own turn; what has been compiled is all's.
  kj::Promise<kj::Own<const Component>> compile(kj::Array<const kj::byte> wasm,
                                                CompileTerms terms = {}) override;

 private:
  using Shared = kj::Own<const Component>;
  class Interest;
  struct Pending {
    kj::ForkedPromise<Shared> promise;
    kj::Maybe<Interest&> interest;  // of those who wait; none once it is done
  };
  struct Kept {
    Shared component;
    uint64_t lastUse;
  };

  kj::Promise<Shared> compile(kj::Array<const kj::byte> wasm, kj::String hash, CompileTerms terms);
  kj::Promise<Shared> join(Pending& entry);
  void keep(kj::StringPtr hash, Shared component);
  void makeRoom();
  void taskFailed(kj::Exception&& exception) override;

  Compiler& inner;
  const size_t maxEntries;
  uint64_t uses = 0;
  kj::HashMap<kj::String, Kept> kept;        // by content
  kj::HashMap<kj::String, Pending> pending;  // by tenant and content
  kj::TaskSet forgetting;
  Hasher hasher;
};

}  // namespace ww::ffi
