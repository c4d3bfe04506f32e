#pragma once
// Keeps the latest components in memory, by content, and has each compiled once however many ask.

#include <kj/async.h>
#include <kj/map.h>
#include <ww/ffi/compiler.h>

namespace ww::ffi {

class CachingCompiler final: public Compiler, private kj::TaskSet::ErrorHandler {
 public:
  static constexpr size_t DEFAULT_ENTRIES = 64;

  // Keeps `maxEntries` components at the most, the last used ones. Outlives the promises it gave.
  explicit CachingCompiler(Compiler& inner, size_t maxEntries = DEFAULT_ENTRIES);
  KJ_DISALLOW_COPY_AND_MOVE(CachingCompiler);

  // What failed is not kept: it is tried again. What nobody waits for any more is given up. The
  // terms of whoever asked first hold.
  kj::Promise<kj::Own<const Component>> compile(kj::Array<const kj::byte> wasm,
                                                CompileTerms terms = {}) override;

 private:
  using Shared = kj::Own<const Component>;
  class Interest;
  struct Entry {
    kj::ForkedPromise<Shared> promise;
    uint64_t lastUse;
    kj::Maybe<Interest&> interest;  // of those who wait; none once it is compiled
  };

  kj::Promise<Shared> join(Entry& entry);
  void makeRoom();
  void taskFailed(kj::Exception&& exception) override;

  Compiler& inner;
  const size_t maxEntries;
  uint64_t uses = 0;
  kj::HashMap<kj::String, Entry> entries;
  kj::TaskSet forgetting;
};

}  // namespace ww::ffi
