#include <ww/node/identity-file.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/node/directory-store.h>

namespace ww {
namespace {

constexpr kj::StringPtr FILE_NAME = "identity.key"_kj;
constexpr size_t MAX_FILE_BYTES = 4096;

[[noreturn]] void fail(kj::StringPtr path, kj::StringPtr what) {
  kj::throwFatalException(badInput(kj::str(path, ": ", what)));
}

Identity decode(kj::AutoCloseFd file, kj::StringPtr path) {
  struct stat info;
  KJ_SYSCALL(fstat(file, &info));
  if (!S_ISREG(info.st_mode)) fail(path, "the key is not a plain file");
  if ((info.st_mode & 077) != 0) {
    fail(path, kj::str("others may use this key; run: chmod 600 ", path));
  }
  kj::byte buffer[MAX_FILE_BYTES];
  auto n = kj::FdInputStream(file.get()).tryRead(buffer, 1, sizeof(buffer));
  kj::Maybe<Identity> identity;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    identity = Identity::decode(kj::arrayPtr(buffer, n));
  })) {
    fail(path, kj::str("the key is damaged (", exception->getDescription(),
                       "); put a copy back, or move it away to get a new identity"));
  }
  return kj::mv(KJ_ASSERT_NONNULL(identity));
}

kj::Maybe<Identity> read(int folder, kj::StringPtr path) {
  int fd = openat(folder, FILE_NAME.cStr(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return nullptr;
  if (fd < 0) fail(path, kj::str("cannot read the node's key: ", strerror(errno)));
  return decode(kj::AutoCloseFd(fd), path);
}

[[noreturn]] void failToMake(kj::StringPtr path) {
  bool isFull = errno == ENOSPC || errno == EDQUOT;
  fail(path, kj::str("cannot make this key: ", strerror(errno),
                     isFull ? "; make room on that disk" : ""));
}

void writeNewKey(int fd, kj::StringPtr path) {
  auto bytes = Identity::generate().encode();
  auto n = write(fd, bytes.begin(), bytes.size());
  if (n >= 0 && size_t(n) < bytes.size()) errno = ENOSPC;
  if (n != ssize_t(bytes.size()) || fsync(fd) < 0) failToMake(path);
}

// A file without a name, so that a kill leaves nothing behind; linked into place unless somebody
// was faster. False where the file system, or the lack of /proc, does not allow it.
bool makeUnnamed(int folder, kj::StringPtr path) {
  int fd = openat(folder, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  kj::AutoCloseFd file(fd);
  writeNewKey(file, path);
  auto unnamed = kj::str("/proc/self/fd/", fd);
  return linkat(AT_FDCWD, unnamed.cStr(), folder, FILE_NAME.cStr(), AT_SYMLINK_FOLLOW) == 0 ||
         errno == EEXIST;
}

// The same with a name of its own for the while.
void makeNamed(int folder, kj::StringPtr path) {
  uint64_t number;
  KJ_SYSCALL(getrandom(&number, sizeof(number), 0));
  auto part = kj::str(".", FILE_NAME, ".", kj::hex(number));
  int fd = openat(folder, part.cStr(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) failToMake(path);
  kj::AutoCloseFd file(fd);
  KJ_DEFER(unlinkat(folder, part.cStr(), 0));
  writeNewKey(file, path);
  if (linkat(folder, part.cStr(), folder, FILE_NAME.cStr(), 0) < 0 && errno != EEXIST) {
    failToMake(path);
  }
}

void make(int folder, kj::StringPtr path) {
  if (!makeUnnamed(folder, path)) makeNamed(folder, path);
  fsync(folder);  // some file systems cannot, and the key is there all the same
}

}  // namespace

Identity loadOrMakeIdentity(kj::StringPtr folderPath) {
  auto folder = openPrivateFolder(folderPath);
  auto path = kj::str(folderPath, "/", FILE_NAME);
  auto identity = read(folder, path);
  if (identity == nullptr) {
    make(folder, path);
    identity = read(folder, path);
  }
  KJ_IF_MAYBE(result, identity) return kj::mv(*result);
  fail(path, "the node's key vanished while it was made");
}

Identity readIdentity(kj::StringPtr path) {
  int fd = open(path.cStr(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    fail(path, kj::str("cannot read this key (", strerror(errno), "); `ww keygen FILE` makes one"));
  }
  return decode(kj::AutoCloseFd(fd), path);
}

Identity makeIdentityFile(kj::StringPtr path) {
  int fd = open(path.cStr(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST) fail(path, "there is a file already; keys are never overwritten");
  if (fd < 0) failToMake(path);
  kj::AutoCloseFd file(fd);
  KJ_ON_SCOPE_FAILURE(unlink(path.cStr()));
  writeNewKey(file, path);
  return readIdentity(path);
}

}  // namespace ww
