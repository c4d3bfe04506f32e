#include <ww/node/compile-worker.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/filesystem.h>
#include <kj/io.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ww/base/error.h>

namespace ww {
namespace {

enum Exit { DONE = 0, BAD_COMPONENT = 1, FAILED = 2 };

constexpr int PATIENCE = 6;   // of its time on the processor, on a busy machine
constexpr int PRIORITY = 10;  // as nice(1) has it
constexpr rlim_t MAX_DESCRIPTORS = 16;
constexpr size_t MAX_REASON_BYTES = 16 << 10;

kj::AutoCloseFd memoryFile(kj::StringPtr name) {
  int raw;
  KJ_SYSCALL(raw = memfd_create(name.cStr(), MFD_CLOEXEC));
  return kj::AutoCloseFd(raw);
}

// Attributes and file actions of one spawn.
class SpawnPlan {
 public:
  // Descriptors 0 and 1 are these, 2 leads nowhere, and there are no others.
  SpawnPlan(int in, int out) {
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    // Of a group of its own: a terminal's ctrl-C is for the node.
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnPlan() noexcept(false) {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  KJ_DISALLOW_COPY_AND_MOVE(SpawnPlan);

  pid_t run(kj::StringPtr program, kj::ArrayPtr<const kj::String> words) {
    auto argv = kj::heapArrayBuilder<char*>(words.size() + 1);
    for (auto& word: words) argv.add(const_cast<char*>(word.cStr()));
    argv.add(nullptr);
    char* environment[] = {nullptr};
    pid_t pid;
    int error = posix_spawn(&pid, program.cStr(), &actions, &attributes, argv.begin(),
                            environment);
    if (error != 0) {
      kj::throwFatalException(badInput(kj::str("no process to compile in could be started: ",
                                               strerror(error))));
    }
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

kj::String readReason(const kj::ReadableFile& file) {
  auto bytes = kj::heapArray<char>(kj::min(file.stat().size, MAX_REASON_BYTES));
  auto n = file.read(0, bytes.asBytes());
  return kj::heapString(bytes.begin(), n);
}

}  // namespace

class ProcessCompileWorker::Process final: public Job {
 public:
  Process(const ProcessCompileWorker& worker, kj::ArrayPtr<const kj::byte> wasm,
          const kj::Maybe<ffi::CompileLimits>& limits)
      : limits(limits), code(memoryFile("ww-code")) {
    auto component = memoryFile("ww-component");
    kj::FdOutputStream(component.get()).write(wasm.begin(), wasm.size());
    KJ_SYSCALL(lseek(component, 0, SEEK_SET));
    int raw;
    KJ_SYSCALL(raw = eventfd(0, EFD_CLOEXEC));
    cancelled = kj::AutoCloseFd(raw);
    uint64_t seconds = 0, memory = 0;  // none
    KJ_IF_MAYBE(some, limits) {
      seconds = kj::max(some->cpu / kj::SECONDS, 1);
      memory = some->memoryBytes;
    }
    kj::String words[] = {kj::str("ww"), kj::str(COMPILE_WORKER), kj::str(worker.wasmStackBytes),
                          kj::str(worker.debugInfo ? 1 : 0), kj::str(seconds), kj::str(memory)};
    pid = SpawnPlan(component, code).run(worker.program, words);
    KJ_ON_SCOPE_FAILURE(endNow());  // there is no object yet whose end it could be
    KJ_SYSCALL(raw = syscall(SYS_pidfd_open, pid, 0));
    process = kj::AutoCloseFd(raw);
  }
  ~Process() noexcept(false) {
    if (pid != 0) endNow();
  }
  KJ_DISALLOW_COPY_AND_MOVE(Process);

  kj::Own<const kj::ReadableFile> finish() override {
    pollfd waits[] = {{process, POLLIN, 0}, {cancelled, POLLIN, 0}};
    int timeoutMs = limits.map([](const ffi::CompileLimits& some) {
      return int(kj::min(some.cpu / kj::MILLISECONDS * PATIENCE, INT32_MAX));
    }).orDefault(-1);
    int ready;
    KJ_SYSCALL(ready = poll(waits, 2, timeoutMs));
    if (waits[1].revents != 0) kj::throwFatalException(ended("the compilation was given up"));
    if (ready == 0) throwTimeout();
    auto status = waitForEnd();
    auto file = kj::newDiskFile(kj::mv(code));
    if (WIFSIGNALED(status)) throwSignal(WTERMSIG(status));
    switch (WEXITSTATUS(status)) {
      case DONE: return kj::mv(file);
      case BAD_COMPONENT: kj::throwFatalException(badInput(readReason(*file)));
    }
    auto reason = readReason(*file);
    // There was no room for the stack of its thread.
    bool hadNoRoom = strstr(reason.cStr(), strerror(EAGAIN)) != nullptr;
    if (limits != nullptr && hadNoRoom) throwTooLarge();
    kj::throwFatalException(badInput(kj::str("compiling failed: ", reason)));
  }

  void cancel() override { eventfd_write(cancelled, 1); }

 private:
  kj::Maybe<ffi::CompileLimits> limits;
  kj::AutoCloseFd code, cancelled, process;
  pid_t pid = 0;  // 0: it is gone

  void endNow() {
    kill(pid, SIGKILL);
    waitForEnd();
  }

  int waitForEnd() {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    pid = 0;
    return status;
  }

  [[noreturn]] void throwTimeout() const {
    kj::throwFatalException(overloaded(kj::str(ffi::COMPILE_TIME, ": it takes longer than ",
        limits.map([](auto& some) { return some.cpu; }).orDefault(0 * kj::SECONDS),
        " to compile this component")));
  }

  [[noreturn]] void throwTooLarge() const {
    kj::throwFatalException(overloaded(kj::str(ffi::COMPILE_MEMORY, ": it takes more than ",
        limits.map([](auto& some) { return some.memoryBytes; }).orDefault(0),
        " bytes to compile this component")));
  }

  [[noreturn]] void throwSignal(int signal) const {
    if (limits != nullptr) {
      if (signal == SIGXCPU) throwTimeout();
      // So a failed allocation ends, and a file that grows too large.
      if (signal == SIGABRT || signal == SIGXFSZ) throwTooLarge();
    }
    if (signal == SIGKILL) {  // as the kernel does where memory is short
      kj::throwFatalException(badInput("somebody on the node's machine killed the compilation; "
                                       "try again"));
    }
    kj::throwFatalException(ffi::componentProblem(kj::str("the compiler was ended by ",
        strsignal(signal))));
  }
};

ProcessCompileWorker::ProcessCompileWorker(const ffi::EngineOptions& options,
                                           kj::StringPtr program)
    : wasmStackBytes(options.wasmStackBytes), debugInfo(options.debugInfo),
      program(kj::str(program)) {}

kj::Own<ffi::CompileWorker::Job> ProcessCompileWorker::start(
    kj::ArrayPtr<const kj::byte> wasm, const kj::Maybe<ffi::CompileLimits>& limits) const {
  return kj::heap<Process>(*this, wasm, limits);
}

// --------------------------------------------------------------------------------- the worker

namespace {

void setLimit(__rlimit_resource which, rlim_t value, rlim_t more = 0) {
  struct rlimit limit{value, value + more};
  KJ_SYSCALL(setrlimit(which, &limit));
}

void confine(uint64_t seconds, uint64_t memory) {
  KJ_SYSCALL(prctl(PR_SET_PDEATHSIG, SIGKILL));
  KJ_SYSCALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  KJ_SYSCALL(setpriority(PRIO_PROCESS, 0, PRIORITY));
  setLimit(RLIMIT_CORE, 0);
  setLimit(RLIMIT_NOFILE, MAX_DESCRIPTORS);
  if (seconds > 0) setLimit(RLIMIT_CPU, seconds, 1);  // SIGXCPU at the first, SIGKILL at the next
  if (memory > 0) {
    setLimit(RLIMIT_AS, memory);
    setLimit(RLIMIT_FSIZE, memory);
  }
}

void writeAll(kj::ArrayPtr<const kj::byte> bytes) {
  kj::FdOutputStream(STDOUT_FILENO).write(bytes.begin(), bytes.size());
}

}  // namespace

int compileWorkerMain(kj::ArrayPtr<const kj::StringPtr> words) {
  int code = FAILED;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    if (words.size() != 4) {
      kj::throwFatalException(badInput("a node starts this for itself, to compile in"));
    }
    ffi::EngineOptions options;
    options.wasmStackBytes = words[0].parseAs<size_t>();
    options.debugInfo = words[1] == "1";
    // A stranger's is compiled on one thread, however many cores there are.
    if (words[2] != "0") setenv("RAYON_NUM_THREADS", "1", 1);
    confine(words[2].parseAs<uint64_t>(), words[3].parseAs<uint64_t>());
    auto component = kj::newDiskFile(kj::AutoCloseFd(STDIN_FILENO));
    writeAll(ffi::makeArtifact(options, component->mmap(0, component->stat().size)));
    code = DONE;
  })) {
    if (ffi::isComponentProblem(*exception)) code = BAD_COMPONENT;
    kj::runCatchingExceptions([&]() { writeAll(exception->getDescription().asBytes()); });
  }
  return code;
}

}  // namespace ww
