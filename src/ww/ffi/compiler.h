#pragma once
// From bytes to runnable components, off the loop's thread.
//
// Compiling takes long (about a second for each megabyte) and cannot be interrupted, so it happens
// elsewhere: on a thread of ThreadCompiler's; a worker process can take its place behind the same
// interface. CachingCompiler stands in front of either and makes a second run of the same bytes
// cheap.

#include <kj/async.h>
#include <kj/function.h>
#include <kj/map.h>
#include <kj/thread.h>
#include <stdint.h>
#include <ww/base/store.h>
#include <ww/ffi/component.h>

namespace ww::ffi {

class Engine;

// Lives on one loop, which gets the results.
class Compiler {
 public:
  virtual ~Compiler() noexcept(false) {}

  // Takes the bytes of a component. Rejects as Component::compile() throws; isComponentProblem()
  // tells bad bytes from a failing node. Dropping the promise gives the result up.
  virtual kj::Promise<kj::Own<const Component>> compile(kj::Array<const kj::byte> wasm) = 0;
};

// Where finished code is looked up and kept, by content. Used by one thread at a time, which need
// not be the loop's.
class CodeStore {
 public:
  // `store` may be used by other processes at the same time; its content is checked, not trusted:
  // an entry that is corrupt, foreign or of another engine is as good as none.
  CodeStore(kj::Own<Store> store, const EngineHandle& engine);
  KJ_DISALLOW_COPY_AND_MOVE(CodeStore);

  // Never throw for what the store holds or cannot do: then nothing is found, nothing kept.
  kj::Maybe<kj::Own<const Component>> find(kj::StringPtr hash);
  void keep(kj::StringPtr hash, const Component& component);

 private:
  kj::String entryName(kj::StringPtr hash) const;

  kj::Own<Store> store;
  kj::Own<const EngineHandle> engine;
  kj::String version;
};

// One worker thread; jobs run in the order they came.
class ThreadCompiler final: public Compiler {
 public:
  static constexpr size_t DEFAULT_WAITING_BYTES = size_t(256) << 20;

  // Looks into `codeStore` before it compiles, if there is one. Above `maxWaitingBytes` of
  // components not yet begun, compile() rejects with `overloaded: compilations`.
  ThreadCompiler(Engine& engine, kj::Maybe<kj::Own<CodeStore>> codeStore,
                 size_t maxWaitingBytes = DEFAULT_WAITING_BYTES);

  // Drops the jobs not begun. One that is running goes on to its end on the thread, unheard.
  ~ThreadCompiler() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ThreadCompiler);

  kj::Promise<kj::Own<const Component>> compile(kj::Array<const kj::byte> wasm) override;

 private:
  class Queue;
  kj::Own<const Queue> queue;
  kj::Thread thread;
};

// Keeps the latest components in memory, by content, and has each compiled once however many ask.
class CachingCompiler final: public Compiler, private kj::TaskSet::ErrorHandler {
 public:
  static constexpr size_t DEFAULT_ENTRIES = 64;

  // Keeps `maxEntries` components at the most, the last used ones.
  explicit CachingCompiler(Compiler& inner, size_t maxEntries = DEFAULT_ENTRIES);
  KJ_DISALLOW_COPY_AND_MOVE(CachingCompiler);

  // What failed is not kept: it is tried again.
  kj::Promise<kj::Own<const Component>> compile(kj::Array<const kj::byte> wasm) override;

 private:
  using Shared = kj::Own<const Component>;
  struct Entry {
    kj::ForkedPromise<Shared> promise;
    uint64_t lastUse;
  };

  void makeRoom();
  void taskFailed(kj::Exception&& exception) override;

  Compiler& inner;
  const size_t maxEntries;
  uint64_t uses = 0;
  kj::HashMap<kj::String, Entry> entries;
  kj::TaskSet forgetting;
};

}  // namespace ww::ffi
