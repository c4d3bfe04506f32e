#include <ww/node/directory-store.h>

#include <algorithm>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <kj/vector.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <ww/base/error.h>

namespace ww {
namespace {

// Of files that are being written. No key begins with a dot. Process numbers would not tell them
// apart: containers that share a folder have the same ones.
constexpr kj::StringPtr PART_PREFIX = ".part-"_kj;

kj::String newPartName() {
  uint64_t number;
  KJ_SYSCALL(getrandom(&number, sizeof(number), 0));
  return kj::str(PART_PREFIX, kj::hex(number));
}

[[noreturn]] void fail(kj::StringPtr path, kj::StringPtr what) {
  kj::throwFatalException(badInput(kj::str(path, ": ", what)));
}

[[noreturn]] void failErrno(kj::StringPtr path, kj::StringPtr doing) {
  fail(path, kj::str(doing, ": ", strerror(errno)));
}

void makeFolders(kj::StringPtr path) {
  for (size_t i = 1; i <= path.size(); i++) {
    if (i < path.size() && path[i] != '/') continue;
    auto prefix = kj::str(path.slice(0, i));
    if (mkdir(prefix.cStr(), 0700) < 0 && errno != EEXIST)
      failErrno(prefix, "cannot make this folder (name another with --data-dir)");
  }
}

struct Entry {
  kj::String name;
  uint64_t bytes;
  timespec used;
};

kj::Vector<Entry> listFiles(int folder) {
  kj::Vector<Entry> entries;
  int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* dir = copy < 0 ? nullptr : fdopendir(copy);
  if (dir == nullptr) {
    if (copy >= 0) close(copy);
    return entries;
  }
  KJ_DEFER(closedir(dir));
  while (auto entry = readdir(dir)) {
    struct stat info;
    if (fstatat(folder, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0) continue;
    if (S_ISREG(info.st_mode)) {
      entries.add(Entry{kj::str(entry->d_name), uint64_t(info.st_size), info.st_mtim});
    }
  }
  return entries;
}

}  // namespace

kj::AutoCloseFd openPrivateFolder(kj::StringPtr path) {
  makeFolders(path);
  int fd = open(path.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) failErrno(path, "cannot open this folder (name another with --data-dir)");
  kj::AutoCloseFd folder(fd);
  struct stat info;
  KJ_SYSCALL(fstat(folder, &info));
  if (info.st_uid != geteuid()) {
    fail(path, "this folder belongs to another user; name one of your own with --data-dir");
  }
  if ((info.st_mode & 022) != 0 && (info.st_mode & S_ISVTX) != 0) {
    fail(path, "this folder is everybody's; name one of your own with --data-dir");
  }
  if ((info.st_mode & 022) != 0) {
    fail(path, kj::str("others may write to this folder; name one of your own with --data-dir, or, "
                       "if it is yours alone, run: chmod go-w ", path));
  }
  return folder;
}

DirectoryStore::DirectoryStore(kj::StringPtr path, uint64_t maxBytes)
    : path(kj::str(path)), maxBytes(maxBytes), folder(openPrivateFolder(path)) {}

DirectoryStore::~DirectoryStore() noexcept(false) {}

kj::Maybe<kj::Own<const kj::ReadableFile>> DirectoryStore::find(kj::StringPtr key) {
  requireStoreKey(key);
  int fd = openat(folder, key.cStr(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return nullptr;
  kj::AutoCloseFd file(fd);
  struct stat info;
  KJ_SYSCALL(fstat(file, &info));
  if (!S_ISREG(info.st_mode) || uint64_t(info.st_size) > maxBytes) return nullptr;
  futimens(file, nullptr);  // used just now; failing to say so is harmless
  return kj::newDiskReadableFile(kj::mv(file));
}

void DirectoryStore::put(kj::StringPtr key, kj::ArrayPtr<const kj::byte> value) {
  requireStoreKey(key);
  makeRoom(value.size());
  auto part = newPartName();
  int fd = openat(folder, part.cStr(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
  if (fd < 0) failErrno(path, kj::str("cannot write ", part));
  {
    KJ_ON_SCOPE_FAILURE(unlinkat(folder, part.cStr(), 0));
    kj::FdOutputStream(kj::AutoCloseFd(fd)).write(value.begin(), value.size());
  }
  if (renameat(folder, part.cStr(), folder, key.cStr()) < 0)
    failErrno(path, kj::str("cannot write ", key));
}

void DirectoryStore::remove(kj::StringPtr key) {
  requireStoreKey(key);
  if (unlinkat(folder, key.cStr(), 0) < 0 && errno != ENOENT) {
    failErrno(path, kj::str("cannot remove ", key));
  }
}

bool DirectoryStore::isForCode() const {
  struct statvfs disk;
  return fstatvfs(folder, &disk) < 0 || (disk.f_flag & ST_NOEXEC) == 0;
}

void DirectoryStore::makeRoom(uint64_t forBytes) {
  auto entries = listFiles(folder);
  uint64_t total = forBytes;
  for (auto& entry: entries) total += entry.bytes;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    if (a.used.tv_sec != b.used.tv_sec) return a.used.tv_sec < b.used.tv_sec;
    return a.used.tv_nsec < b.used.tv_nsec;
  });
  for (auto& entry: entries) {
    // A part is another process's work in progress, or what one that was killed left behind: a
    // process that loses it finds that its rename fails, and caches nothing.
    bool part = entry.name.startsWith(PART_PREFIX);
    if (!part && total <= maxBytes) continue;
    if (unlinkat(folder, entry.name.cStr(), 0) == 0) total -= entry.bytes;
  }
}

}  // namespace ww
