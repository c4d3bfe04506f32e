#include <ww/node/output-file.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/base/random.h>
#include <ww/base/text.h>
#include <ww/node/folder-remover.h>

namespace ww {
namespace {

using Write = kj::Function<kj::Promise<void>(kj::AsyncOutputStream&)>;

constexpr auto STANDARD_OUTPUT = "-"_kj;

[[noreturn]] void refuse(kj::StringPtr path, kj::StringPtr why) {
  kj::throwFatalException(badInput(kj::str(path, ": ", why)));
}
[[noreturn]] void failErrno(kj::StringPtr path, kj::StringPtr what) {
  refuse(path, kj::str(what, " (", strerror(errno), ")"));
}

// Files are never waited for by an event loop: they are written at once.
class FileOutput final: public kj::AsyncOutputStream {
 public:
  FileOutput(int file, kj::StringPtr path) : file(file), path(path) {}

  kj::Promise<void> write(const void* buffer, size_t size) override {
    auto bytes = static_cast<const kj::byte*>(buffer);
    while (size > 0) {
      auto count = ::write(file, bytes, size);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) failErrno(path, "cannot be written");
      bytes += count;
      size -= size_t(count);
    }
    return kj::READY_NOW;
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    for (auto piece: pieces) co_await write(piece.begin(), piece.size());
  }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }

 private:
  const int file;
  const kj::StringPtr path;
};

// So that a file's name is on the disk as well.
void syncFolderOf(kj::StringPtr path) {
  auto folder = folderOf(path);
  int raw = open(folder.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (raw < 0 && errno == EACCES) return;  // it may be written to and not read
  if (raw < 0) failErrno(folder, "cannot be read");
  kj::AutoCloseFd file(raw);
  if (fsync(file) < 0 && errno != EINVAL) failErrno(folder, "cannot be written");
}

// `mode`: of what is there.
kj::Promise<void> replace(kj::String path, kj::Maybe<mode_t> mode, Write write) {
  auto part = kj::str(path, ".part-", kj::hex(randomNonce()));
  int raw = open(part.cStr(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                 mode == nullptr ? 0666 : 0600);
  if (raw < 0) failErrno(path, "cannot be made");
  kj::AutoCloseFd file(raw);
  bool isDone = false;
  KJ_DEFER(if (!isDone) unlink(part.cStr()));
  KJ_IF_MAYBE(same, mode) {
    if (fchmod(file, *same) < 0) failErrno(path, "cannot be made");
  }
  FileOutput out(file, path);
  co_await write(out);
  if (fsync(file) < 0 && errno != EINVAL) failErrno(path, "cannot be written");
  if (rename(part.cStr(), path.cStr()) < 0) failErrno(path, "cannot be made");
  isDone = true;
  syncFolderOf(path);
}

// As it is.
kj::Promise<void> writeTo(kj::AutoCloseFd file, kj::String path, Write write) {
  if (isatty(file)) refuse(path, "this is a terminal: name a file, or a pipe");
  FileOutput out(file, path);
  co_await write(out);
}

// Without links; nothing where there is no such.
kj::Maybe<kj::String> realPathOf(kj::StringPtr path) {
  char real[PATH_MAX];
  if (realpath(path.cStr(), real) == nullptr) return nullptr;
  return kj::str(real);
}

bool isWithin(kj::StringPtr path, kj::StringPtr kept) {
  KJ_IF_MAYBE(folder, realPathOf(folderOf(path))) {
    KJ_IF_MAYBE(real, realPathOf(kept)) {
      return kj::str(*folder, '/').startsWith(kj::str(*real, '/'));
    }
  }
  return false;
}

// A folder in it may be a link to another disk.
void requireOutside(kj::StringPtr path, kj::StringPtr kept) {
  bool isOutside = !isWithin(path, kept);
  int raw = open(kept.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  kj::AutoCloseFd folder(raw);
  if (raw >= 0) {
    for (auto& name: listNames(folder)) isOutside &= !isWithin(path, kj::str(kept, '/', name));
  }
  if (isOutside) return;
  refuse(path, kj::str("this is in ", kept, ", where no file of yours belongs: name another "
                       "place"));
}

}  // namespace

bool isStandardOutput(kj::StringPtr path) {
  if (path == STANDARD_OUTPUT) return true;
  struct stat named, standard;
  return stat(path.cStr(), &named) == 0 && fstat(STDOUT_FILENO, &standard) == 0 &&
         named.st_dev == standard.st_dev && named.st_ino == standard.st_ino;
}

kj::Promise<void> writeOutput(kj::StringPtr path, kj::StringPtr kept, Write write) {
  if (path == STANDARD_OUTPUT) {
    int copy;
    KJ_SYSCALL(copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
    return writeTo(kj::AutoCloseFd(copy), kj::str("standard output"), kj::mv(write));
  }
  struct stat info;
  auto target = kj::str(path);
  kj::Maybe<mode_t> mode;
  if (stat(path.cStr(), &info) < 0) {
    if (errno != ENOENT) failErrno(path, "cannot be written");
    if (lstat(path.cStr(), &info) == 0) refuse(path, "a symbolic link that leads nowhere");
  } else if (S_ISCHR(info.st_mode) || S_ISFIFO(info.st_mode)) {
    int raw = open(path.cStr(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (raw < 0) failErrno(path, "cannot be written");
    return writeTo(kj::AutoCloseFd(raw), kj::mv(target), kj::mv(write));
  } else if (!S_ISREG(info.st_mode)) {
    refuse(path, S_ISDIR(info.st_mode) ? "this is a folder: name a file" :
                                         "this is neither a plain file nor a pipe");
  } else {
    KJ_IF_MAYBE(real, realPathOf(path)) target = kj::mv(*real);
    mode = info.st_mode & 0777;
  }
  requireOutside(target, kept);
  return replace(kj::mv(target), mode, kj::mv(write));
}

}  // namespace ww
