#include <ww/cli/sdk.h>

#include <errno.h>
#include <fcntl.h>
#include <filesystem>
#include <kj/debug.h>
#include <kj/io.h>
#include <kj/vector.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <ww/base/error.h>

extern char** environ;  // NOLINT

namespace ww {
namespace {

namespace fs = std::filesystem;

// What an SDK has, and no other folder.
constexpr const char* MARK = "cmake/ww-sdk.cmake";

constexpr kj::StringPtr CLANG = "clang++-22"_kj;
constexpr kj::StringPtr PACKAGES =
    "On Debian or Ubuntu: apt-get install cmake ninja-build clang-22 lld-22 llvm-22 wasi-libc "
    "libc++-22-dev-wasm32 libc++abi-22-dev-wasm32 libclang-rt-22-dev-wasm32"_kj;
constexpr kj::StringPtr RUST_TARGET = "wasm32-wasip2"_kj;

constexpr size_t MAX_OUTPUT_BYTES = 64 << 20;  // of a program whose output is read

bool isSdk(const fs::path& folder) {
  std::error_code error;
  return fs::is_regular_file(folder / MARK, error);
}

bool isOnPath(kj::StringPtr program) {
  const char* path = getenv("PATH");
  std::string rest = path == nullptr ? "" : path;
  for (size_t begin = 0; begin <= rest.size();) {
    auto end = kj::min(rest.find(':', begin), rest.size());
    auto file = fs::path(rest.substr(begin, end - begin)) / program.cStr();
    std::error_code error;
    if (fs::is_regular_file(file, error) && access(file.c_str(), X_OK) == 0) return true;
    begin = end + 1;
  }
  return false;
}

void requireProgram(kj::StringPtr program, kj::StringPtr advice) {
  if (isOnPath(program)) return;
  kj::throwFatalException(badInput(kj::str("there is no ", program, " on the PATH. ", advice)));
}

// Of the child's standard streams: stdin is nothing.
class Actions {
 public:
  explicit Actions(int out) {
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  }
  ~Actions() { posix_spawn_file_actions_destroy(&actions); }
  KJ_DISALLOW_COPY_AND_MOVE(Actions);

  void enter(kj::StringPtr folder) {
    posix_spawn_file_actions_addchdir_np(&actions, folder.cStr());
  }
  posix_spawn_file_actions_t* get() { return &actions; }

 private:
  posix_spawn_file_actions_t actions;
};

// Ours has SIGPIPE ignored, which would be inherited.
pid_t spawn(kj::ArrayPtr<const kj::String> words, Actions& actions,
            kj::ArrayPtr<const kj::String> env) {
  kj::Vector<char*> argv, variables;
  for (auto& word: words) argv.add(const_cast<char*>(word.cStr()));
  argv.add(nullptr);
  for (auto& variable: env) variables.add(const_cast<char*>(variable.cStr()));
  for (auto each = environ; *each != nullptr; each++) variables.add(*each);
  variables.add(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  KJ_DEFER(posix_spawnattr_destroy(&attributes));
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t pid;
  int error = posix_spawnp(&pid, argv[0], actions.get(), &attributes, argv.begin(),
                           variables.begin());
  if (error != 0) {
    kj::throwFatalException(badInput(kj::str(words[0], " cannot be run (", strerror(error), ")")));
  }
  return pid;
}

int waitFor(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) KJ_FAIL_SYSCALL("waitpid", errno);
  }
  return status;
}

kj::String readAll(int fd) {
  kj::Vector<char> text;
  char buffer[65536];
  kj::FdInputStream in(fd);
  while (auto n = in.tryRead(buffer, 1, sizeof(buffer))) {
    if (text.size() + n > MAX_OUTPUT_BYTES) break;
    text.addAll(buffer, buffer + n);
  }
  return kj::heapString(text.asPtr());
}

}  // namespace

kj::String findSdk(const kj::Maybe<kj::String>& asked) {
  KJ_IF_MAYBE(path, asked) {
    std::error_code error;
    auto folder = fs::absolute(path->cStr(), error).lexically_normal();
    if (isSdk(folder)) return kj::str(folder.c_str());
    kj::throwFatalException(badInput(kj::str(*path, ": this folder is no SDK of ww: it has no ",
                                             MARK)));
  }
  std::error_code error;
  auto here = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (auto& folder: {here / "sdk", (here / "../share/ww/sdk").lexically_normal()}) {
    if (isSdk(folder)) return kj::str(folder.c_str());
  }
  kj::throwFatalException(badInput(kj::str("the SDK is neither in ", here.c_str(), "/sdk nor in ",
      here.parent_path().c_str(), "/share/ww/sdk: run `make install` (or `make build`) in the "
      "source of ww, or say where it is: --sdk DIR, or WW_SDK")));
}

void requireCppCompiler() {
  for (auto program: {"cmake"_kj, "ninja"_kj, CLANG, "wasm-ld-22"_kj, "llvm-ar-22"_kj}) {
    requireProgram(program, PACKAGES);
  }
}

void requireRustTarget(kj::StringPtr project) {
  requireProgram("cargo", "Rust comes from https://rustup.rs");
  requireProgram("rustc", "Rust comes from https://rustup.rs");
  auto advice = kj::str("the Rust of this project does not compile for ", RUST_TARGET, "; run in ",
                        project, ": rustup target add ", RUST_TARGET);
  kj::String folder;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
    auto words = kj::arr(kj::str("rustc"), kj::str("--print"), kj::str("target-libdir"),
                         kj::str("--target"), kj::str(RUST_TARGET));
    runProgram(words, project, nullptr, folder);
  })) {
    kj::throwFatalException(badInput(advice));
  }
  while (folder.endsWith("\n")) folder = kj::str(folder.slice(0, folder.size() - 1));
  std::error_code error;
  for (auto& entry: fs::directory_iterator(folder.cStr(), error)) {
    if (entry.path().filename().string().starts_with("libstd-")) return;
  }
  kj::throwFatalException(badInput(advice));
}

void runProgram(kj::ArrayPtr<const kj::String> words, kj::StringPtr folder,
                kj::ArrayPtr<const kj::String> env, kj::Maybe<kj::String&> output) {
  int ends[2] = {-1, -1};
  bool reads = output != nullptr;
  if (reads && pipe2(ends, O_CLOEXEC) < 0) KJ_FAIL_SYSCALL("pipe2", errno);
  auto readEnd = reads ? kj::AutoCloseFd(ends[0]) : kj::AutoCloseFd();
  auto writeEnd = reads ? kj::AutoCloseFd(ends[1]) : kj::AutoCloseFd();
  Actions actions(reads ? writeEnd.get() : STDERR_FILENO);
  actions.enter(folder);
  auto pid = spawn(words, actions, env);
  writeEnd = nullptr;
  KJ_IF_MAYBE(text, output) *text = readAll(readEnd);
  readEnd = nullptr;
  auto status = waitFor(pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  auto how = WIFEXITED(status) ? kj::str("ended with ", WEXITSTATUS(status))
                               : kj::str("was ended by signal ", WTERMSIG(status));
  kj::throwFatalException(badInput(kj::str("`", kj::strArray(words, " "), "` ", how)));
}

}  // namespace ww
