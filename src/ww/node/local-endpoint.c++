#include <ww/node/local-endpoint.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <ww/base/accept.h>
#include <ww/base/error.h>
#include <ww/node/directory-store.h>

namespace ww {
namespace {

constexpr kj::StringPtr SOCKET_NAME = "ww.sock"_kj;
constexpr kj::StringPtr LOCK_NAME = "ww.lock"_kj;
constexpr int BACKLOG = 64;

[[noreturn]] void fail(kj::String what) { kj::throwFatalException(badInput(what)); }

sockaddr_un addressOf(kj::StringPtr path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    fail(kj::str(path, ": of ", path.size(), " bytes; a socket's path may have ",
                 sizeof(address.sun_path) - 1, ": choose a shorter --data-dir"));
  }
  memcpy(address.sun_path, path.begin(), path.size());
  return address;
}

kj::AutoCloseFd newSocket() {
  int raw = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  KJ_SYSCALL(raw);
  return kj::AutoCloseFd(raw);
}

bool isOwn(kj::AsyncIoStream& stream) {
  ucred peer{};
  kj::uint size = sizeof(peer);
  stream.getsockopt(SOL_SOCKET, SO_PEERCRED, &peer, &size);
  return size == sizeof(peer) && peer.uid == geteuid();
}

// Why nobody answers at a socket, and what to do.
kj::String whyNot(kj::StringPtr path, int error) {
  constexpr auto DO = "start one with `ww run`, or name another with --on"_kj;
  switch (error) {
    case ENOENT: case ENOTDIR: return kj::str(path, ": no node runs here; ", DO);
    case ECONNREFUSED:
      return kj::str(path, ": no node runs here any more, or this is no socket; ", DO);
    case EAGAIN: return kj::str(path, ": the node here takes no links now; try again");
    case EACCES: case EPERM:
      return kj::str(path, ": this is another user's, and only whoever started the node may use "
                     "it: be that user, or reach it by its address (--on) with a key that it "
                     "allows");
    default: return kj::str(path, ": no node can be reached here (", strerror(error), "); ", DO);
  }
}

kj::String socketAt(kj::StringPtr path) {
  struct stat info;
  if (stat(path.cStr(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return kj::str(path, "/", SOCKET_NAME);
  }
  return kj::str(path);
}

}  // namespace

kj::AutoCloseFd lockDataDir(kj::StringPtr folderPath) {
  auto folder = openPrivateFolder(folderPath);
  int raw = openat(folder, LOCK_NAME.cStr(),
                   O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (raw < 0) {
    fail(kj::str(folderPath, "/", LOCK_NAME, ": cannot be opened (", strerror(errno), ")"));
  }
  kj::AutoCloseFd file(raw);
  struct stat info;
  if (fstat(file, &info) < 0 || !S_ISREG(info.st_mode)) {
    fail(kj::str(folderPath, "/", LOCK_NAME, ": no plain file; remove it"));
  }
  if (flock(file, LOCK_EX | LOCK_NB) < 0) {
    char pid[16] = {};
    auto n = pread(file, pid, sizeof(pid) - 1, 0);
    fail(kj::str(folderPath, ": another node runs here", n > 0 ? " (process " : "", pid,
                 n > 0 ? ")" : "", "; end that one, or give this one a --data-dir of its own"));
  }
  // For the words above alone: a full disk keeps no node from starting.
  auto pid = kj::str(getpid());
  if (ftruncate(file, 0) == 0) (void)!pwrite(file, pid.begin(), pid.size(), 0);
  return file;
}

LocalEndpoint::LocalEndpoint(kj::LowLevelAsyncIoProvider& io, kj::StringPtr folder)
    : path(kj::str(folder, "/", SOCKET_NAME)) {
  auto address = addressOf(path);
  auto socket = newSocket();
  unlink(path.cStr());  // an earlier node's: this one has the lock
  if (bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) {
    fail(kj::str(path, ": cannot be made (", strerror(errno), ")"));
  }
  KJ_SYSCALL(chmod(path.cStr(), 0600));
  KJ_SYSCALL(listen(socket, BACKLOG));
  receiver = io.wrapListenSocketFd(kj::mv(socket),
                                   kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC |
                                       kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK);
}

LocalEndpoint::~LocalEndpoint() noexcept(false) { unlink(path.cStr()); }

kj::Promise<void> LocalEndpoint::serve(kj::Timer& timer,
                                       kj::Function<void(kj::Own<kj::AsyncIoStream>)> handler) {
  return acceptAll(*receiver, timer,
                   [handler = kj::mv(handler)](kj::Own<kj::AsyncIoStream> stream) mutable {
    if (isOwn(*stream)) handler(kj::mv(stream));
  });
}

kj::Promise<kj::Own<kj::AsyncIoStream>> connectLocal(kj::LowLevelAsyncIoProvider& io,
                                                     kj::StringPtr where) {
  auto path = socketAt(where);
  auto address = addressOf(path);
  auto socket = newSocket();
  // Done at once, or not at all: such a connection is made when it is queued there.
  if (connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) {
    return badInput(whyNot(path, errno));
  }
  return io.wrapSocketFd(kj::mv(socket), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC |
                                             kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK);
}

}  // namespace ww
