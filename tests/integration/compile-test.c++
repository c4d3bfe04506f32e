// The compiler's process: what it takes from this one, what it is held to, and what is left of it.
#include <ww/node/compile-worker.h>

#include <dirent.h>
#include <fcntl.h>
#include <kj/filesystem.h>
#include <kj/io.h>
#include <kj/test.h>
#include <kj/thread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "test-node.h"
#include "wasm-bytes.h"

namespace ww {
namespace {

kj::uint countOf(kj::StringPtr folder) {
  auto dir = opendir(folder.cStr());
  KJ_ASSERT(dir != nullptr, folder);
  KJ_DEFER(closedir(dir));
  kj::uint count = 0;
  while (readdir(dir) != nullptr) ++count;
  return count;
}

kj::String readProc(kj::StringPtr path) {
  int raw;
  KJ_SYSCALL(raw = open(path.cStr(), O_RDONLY | O_CLOEXEC), path);
  kj::AutoCloseFd file(raw);
  return kj::FdInputStream(file.get()).readAllText();
}

// Processes that this thread started, each with a blank behind it.
kj::String children() { return readProc(kj::str("/proc/self/task/", gettid(), "/children")); }

struct Worker {
  ffi::EngineOptions options;
  ProcessCompileWorker worker{options, WW_PROGRAM};
  kj::uint descriptors = countOf("/proc/self/fd");

  ~Worker() noexcept(false) {
    KJ_EXPECT(countOf("/proc/self/fd") == descriptors);
    KJ_EXPECT(children() == "", children());
  }

  kj::Array<kj::byte> compile(kj::ArrayPtr<const kj::byte> wasm,
                              kj::Maybe<ffi::CompileLimits> limits = ffi::CompileLimits()) {
    return worker.start(wasm, limits)->finish()->readAllBytes();
  }
  kj::String failure(kj::ArrayPtr<const kj::byte> wasm,
                     kj::Maybe<ffi::CompileLimits> limits = ffi::CompileLimits()) {
    auto e = kj::runCatchingExceptions([&]() { compile(wasm, limits); });
    return kj::str(KJ_ASSERT_NONNULL(e).getDescription());
  }
};

KJ_TEST("code that was made elsewhere is that which would have been made here") {
  Worker w;
  auto wasm = component("cell-plain");
  KJ_EXPECT(w.compile(wasm) == ffi::makeArtifact(w.options, wasm));
  KJ_EXPECT(w.compile(wasm, nullptr) == ffi::makeArtifact(w.options, wasm));
}

KJ_TEST("what is wrong with bytes is told as it is told here") {
  Worker w;
  auto half = component("cell-plain");
  kj::ArrayPtr<const kj::byte> all[] = {nullptr, "hello, world"_kj.asBytes(),
                                        half.slice(0, half.size() / 2)};
  for (auto bytes: all) {
    auto here = kj::runCatchingExceptions([&]() { ffi::makeArtifact(w.options, bytes); });
    KJ_EXPECT(w.failure(bytes) == KJ_ASSERT_NONNULL(here).getDescription());
  }
}

KJ_TEST("a component that takes too long, or too much memory, is given up by name") {
  Worker w;
  ffi::CompileLimits brief{1 * kj::SECONDS, uint64_t(1) << 30};
  auto slow = componentOf(2000, 1000);
  auto why = w.failure(slow, brief);
  KJ_EXPECT(why == "overloaded: compileTime: it takes longer than 1s to compile this component",
            why);
  ffi::CompileLimits small{10 * kj::SECONDS, uint64_t(400) << 20};
  why = w.failure(componentOf(1, 500'000), small);
  KJ_EXPECT(why.startsWith("overloaded: compileMemory: it takes more than 419430400 bytes"), why);
  w.compile(componentOf(1, 1000), small);
}

KJ_TEST("a compilation that is given up is over at once, before or while it is waited for") {
  Worker w;
  auto slow = componentOf(2000, 1000);
  { auto dropped = w.worker.start(slow, nullptr); }
  auto job = w.worker.start(slow, nullptr);
  job->cancel();
  KJ_EXPECT_THROW_MESSAGE("given up", job->finish());
  job = w.worker.start(slow, nullptr);
  {
    kj::Thread other([&]() { job->cancel(); });
    KJ_EXPECT_THROW_MESSAGE("given up", job->finish());
  }
  job = nullptr;
}

KJ_TEST("the process has nothing but the component and the place for its code") {
  Worker w;
  setenv("WW_SECRET", "which is none of its business", 1);
  auto job = w.worker.start(componentOf(2000, 1000), nullptr);
  auto pid = children();
  KJ_ASSERT(pid.size() > 1);
  auto folder = kj::str("/proc/", pid.slice(0, pid.size() - 1));
  KJ_EXPECT(readProc(kj::str(folder, "/environ")) == "");
  KJ_EXPECT(countOf(kj::str(folder, "/fd")) == 2 + 3);
  job = nullptr;
}

KJ_TEST("that no process can be started is said") {
  ProcessCompileWorker nowhere({}, "/no/such/program");
  KJ_EXPECT_THROW_MESSAGE("no process to compile in could be started: No such file or directory",
                          nowhere.start(nullptr, nullptr));
}

KJ_TEST("a process that cannot be watched is not left behind") {
  Worker w;
  auto wasm = component("cell-plain");
  rlimit before;
  KJ_SYSCALL(getrlimit(RLIMIT_NOFILE, &before));
  int next;
  KJ_SYSCALL(next = dup(0));
  close(next);
  // Code, component and a bell fit, and nothing more.
  rlimit few{rlim_t(next) + 3, before.rlim_max};
  KJ_SYSCALL(setrlimit(RLIMIT_NOFILE, &few));
  auto why = kj::runCatchingExceptions([&]() { w.worker.start(wasm, nullptr); });
  KJ_SYSCALL(setrlimit(RLIMIT_NOFILE, &before));
  auto reason = kj::str(KJ_ASSERT_NONNULL(why).getDescription());
  KJ_EXPECT(contains(reason, "Too many open files") && contains(reason, "pidfd"), reason);
  KJ_EXPECT(children() == "", children());
}

}  // namespace
}  // namespace ww
