#pragma once
// Compiles in a process of its own, one for each component: what a compiler does with hostile bytes
// is bounded there, and over with the process. It is this same program, which has no descriptors
// but the component and the place for its code, no environment, one thread, and a low priority; at
// a limit the kernel ends it, and it does not outlive the thread that started it.
//
// It is no sandbox: it runs as the same user, and its code is loaded as it is.

#include <kj/string.h>
#include <ww/ffi/compiler.h>
#include <ww/ffi/engine.h>

namespace ww {

// The word by which the program knows that it is a worker.
constexpr kj::StringPtr COMPILE_WORKER = "compile-worker"_kj;

class ProcessCompileWorker final: public ffi::CompileWorker {
 public:
  // For engines with these options. `program` takes COMPILE_WORKER and what follows it to
  // compileWorkerMain().
  explicit ProcessCompileWorker(const ffi::EngineOptions& options,
                                kj::StringPtr program = "/proc/self/exe"_kj);

  // Throws if no process can be started.
  kj::Own<Job> start(kj::ArrayPtr<const kj::byte> wasm,
                     const kj::Maybe<ffi::CompileLimits>& limits) const override;

 private:
  class Process;
  const size_t wasmStackBytes;
  const bool debugInfo;
  const kj::String program;
};

// What such a process does; its exit code. `words`: those after COMPILE_WORKER.
int compileWorkerMain(kj::ArrayPtr<const kj::StringPtr> words);

}  // namespace ww
