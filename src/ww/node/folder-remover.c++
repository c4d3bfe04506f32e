#include <ww/node/folder-remover.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <unistd.h>
#include <ww/base/signals.h>

namespace ww {
namespace {

constexpr int OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// Calls `each` with the names in a folder, without `.` and `..`, until it says that it is enough.
template <typename Each>
void readNames(int folder, Each&& each) {
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
    if (name != "." && name != ".." && !each(name)) return;
  }
  if (errno != 0) KJ_FAIL_SYSCALL("readdir", errno);
}

}  // namespace

kj::Vector<kj::String> listNames(int folder) {
  kj::Vector<kj::String> names;
  readNames(folder, [&](kj::StringPtr name) {
    names.add(kj::str(name));
    return true;
  });
  return names;
}

FolderRemover::~FolderRemover() noexcept(false) {
  isEnding = true;
  state.lockExclusive()->isEnding = true;
}

void FolderRemover::remove(kj::String name) { add(&State::names, kj::mv(name)); }
void FolderRemover::removeLeftover(kj::String name) { add(&State::leftovers, kj::mv(name)); }

void FolderRemover::add(kj::Vector<kj::String> State::*to, kj::String name) {
  {
    auto lock = state.lockExclusive();
    ((*lock).*to).add(kj::mv(name));
    lock->isBusy = true;
  }
  if (thread == nullptr) thread = kj::heap<kj::Thread>([this]() { run(); });
}

void FolderRemover::waitUntilRemoved() {
  state.lockExclusive().wait([](const State& now) { return !now.isBusy; });
}

void FolderRemover::run() noexcept {
  blockSignals();
  for (;;) {
    kj::String name;
    {
      auto lock = state.lockExclusive();
      lock->isBusy = !lock->isDone();
      lock.wait([](const State& now) { return !now.isDone() || now.isEnding; });
      if (lock->isDone()) return;
      isLeftover = lock->names.empty();
      auto& from = isLeftover ? lock->leftovers : lock->names;
      name = kj::mv(from.back());
      from.removeLast();
    }
    removeAll(folder, name);
  }
}

void FolderRemover::removeAll(int in, kj::StringPtr name) {
  if (isAtItsEnd()) return;
  if (isEnding) ++last;
  if (unlinkat(in, name.cStr(), 0) == 0) return;
  int fd = openat(in, name.cStr(), OPEN_FOLDER);
  if (fd >= 0) {
    kj::AutoCloseFd inner(fd);
    kj::runCatchingExceptions([&]() {
      readNames(inner, [&](kj::StringPtr each) {
        removeAll(inner, each);
        return !isAtItsEnd();
      });
    });
  }
  unlinkat(in, name.cStr(), AT_REMOVEDIR);
}

bool FolderRemover::isAtItsEnd() const {
  return isEnding && (isLeftover || last >= LAST_ENTRIES);
}

}  // namespace ww
