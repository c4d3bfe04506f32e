#include <ww/node/folder-remover.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <signal.h>
#include <unistd.h>

namespace ww {
namespace {

constexpr int OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

}  // namespace

kj::Vector<kj::String> listNames(int folder) {
  kj::Vector<kj::String> names;
  int copy;
  KJ_SYSCALL(copy = openat(folder, ".", OPEN_FOLDER));
  DIR* dir = fdopendir(copy);
  if (dir == nullptr) close(copy);
  KJ_ASSERT(dir != nullptr, "fdopendir");
  KJ_DEFER(closedir(dir));
  for (;;) {
    errno = 0;  // which alone tells the end from a failure
    auto entry = readdir(dir);
    if (entry == nullptr) break;
    kj::StringPtr name = entry->d_name;
    if (name != "." && name != "..") names.add(kj::str(name));
  }
  if (errno != 0) KJ_FAIL_SYSCALL("readdir", errno);
  return names;
}

FolderRemover::~FolderRemover() noexcept(false) {
  isEnding = true;
  state.lockExclusive()->isEnding = true;
}

void FolderRemover::remove(kj::String name) {
  {
    auto lock = state.lockExclusive();
    lock->names.add(kj::mv(name));
    lock->isBusy = true;
  }
  if (thread == nullptr) thread = kj::heap<kj::Thread>([this]() { run(); });
}

void FolderRemover::waitUntilRemoved() {
  state.lockExclusive().wait([](const State& now) { return !now.isBusy; });
}

void FolderRemover::run() noexcept {
  // Signals are for the threads that have a loop.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  for (;;) {
    kj::Vector<kj::String> names;
    {
      auto lock = state.lockExclusive();
      lock->isBusy = !lock->names.empty();
      lock.wait([](const State& now) { return !now.names.empty() || now.isEnding; });
      if (lock->names.empty()) return;
      names = kj::mv(lock->names);
      lock->names = {};
    }
    for (auto& name: names) removeAll(folder, name);
  }
}

void FolderRemover::removeAll(int in, kj::StringPtr name) {
  if (isAtAnEnd()) return;
  if (unlinkat(in, name.cStr(), 0) == 0) return;
  int fd = openat(in, name.cStr(), OPEN_FOLDER);
  if (fd >= 0) {
    kj::AutoCloseFd inner(fd);
    kj::runCatchingExceptions([&]() {
      for (auto& each: listNames(inner)) removeAll(inner, each);
    });
  }
  unlinkat(in, name.cStr(), AT_REMOVEDIR);
}

bool FolderRemover::isAtAnEnd() { return isEnding && last++ >= LAST_ENTRIES; }

}  // namespace ww
