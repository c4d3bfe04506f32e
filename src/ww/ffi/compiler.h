#pragma once
// From bytes to runnable components, off the loop's thread.
//
// Compiling takes long (about a second for each megabyte), cannot be interrupted, and its input is
// hostile: so it happens in a process of its own, behind CompileWorker. Without one it happens on a
// thread of ThreadCompiler's, which nothing bounds.

#include <kj/async.h>
#include <kj/filesystem.h>
#include <kj/thread.h>
#include <kj/time.h>
#include <kj/vector.h>
#include <stdint.h>
#include <ww/ffi/code-store.h>

namespace ww::ffi {

class Engine;

// What one compilation may take.
struct CompileLimits {
  kj::Duration cpu = 10 * kj::SECONDS;        // in whole seconds; six times as much may pass
  uint64_t memoryBytes = uint64_t(1) << 30;   // of address space; its code is no larger either
};

struct CompileTerms {
  uint64_t tenant = 0;  // of each, one at a time: another's does not wait behind it
  kj::Maybe<CompileLimits> limits = nullptr;  // none: whatever it takes
};

// Was a compilation given up at one of its limits? Its reason then begins with `overloaded: ` and
// COMPILE_TIME or COMPILE_MEMORY; with COMPILATIONS where too much waits to be compiled.
constexpr kj::StringPtr COMPILE_TIME = "compileTime"_kj;
constexpr kj::StringPtr COMPILE_MEMORY = "compileMemory"_kj;
constexpr kj::StringPtr COMPILATIONS = "compilations"_kj;

// Likewise, where it has more at its start than a cell may: footprintOf() throws it.
constexpr kj::StringPtr INSTANCES = "instances"_kj;

// Lives on one loop, which gets the results.
class Compiler {
 public:
  virtual ~Compiler() noexcept(false) {}

  // Takes the bytes of a component. Rejects as Component::compile() throws; isComponentProblem()
  // tells bad bytes from a failing node. Dropping the promise gives the compilation up.
  virtual kj::Promise<kj::Own<const Component>> compile(kj::Array<const kj::byte> wasm,
                                                        CompileTerms terms = {}) = 0;

  // What compile() would give of these bytes, where that is known at once.
  virtual kj::Maybe<kj::Own<const Component>> findRecent(kj::ArrayPtr<const kj::byte>) {
    return nullptr;
  }
};

// Where compilations happen that must not hurt this process. Any thread.
class CompileWorker {
 public:
  class Job {
   public:
    virtual ~Job() noexcept(false) {}

    // Waits for the end: a file that holds Component::artifact() and nothing else. Throws as
    // Component::compile() does, `overloaded: compileTime` or `overloaded: compileMemory` at a
    // limit, and when it is cancelled. Once.
    virtual kj::Own<const kj::ReadableFile> finish() = 0;

    // Has finish() return soon. Any thread.
    virtual void cancel() = 0;
  };

  virtual ~CompileWorker() noexcept(false) {}
  virtual kj::Own<Job> start(kj::ArrayPtr<const kj::byte> wasm,
                             const kj::Maybe<CompileLimits>& limits) const = 0;
};

struct ThreadCompilerOptions {
  kj::Maybe<kj::Own<CodeStore>> codeStore = nullptr;  // looked into first
  kj::Maybe<kj::Own<const CompileWorker>> worker = nullptr;
  kj::uint threads = 1;

  // Of components that wait, of one tenant and in all; above it, compile() rejects with
  // `overloaded: compilations`.
  size_t maxTenantBytes = size_t(128) << 20;
  size_t maxWaitingBytes = size_t(1) << 30;
};

// A few threads. Any loop may compile on them, and gets the result. Tenants take turns; each one's
// jobs run one at a time, in the order they came. One thread more looks for what is stored, which
// nobody waits behind compilations for.
class ThreadCompiler final: public Compiler {
 public:
  explicit ThreadCompiler(Engine& engine, ThreadCompilerOptions options = {});

  // Gives all up. A compilation without a worker goes on to its end on its thread, unheard.
  ~ThreadCompiler() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ThreadCompiler);

  kj::Promise<kj::Own<const Component>> compile(kj::Array<const kj::byte> wasm,
                                                CompileTerms terms = {}) override;

  // Waits until all that came is looked up. For tests.
  void untilLookedUp() const;

 private:
  class Job;
  class Queue;
  kj::Own<const Queue> queue;
  kj::Vector<kj::Own<kj::Thread>> threads;
};

}  // namespace ww::ffi
