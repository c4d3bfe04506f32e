#include <ww/node/stdio.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ww {
namespace {

constexpr size_t COPY_BYTES = 64 * 1024;

// A file, or a device that has nothing to wait for: reads and writes return at once.
class DirectStream final: public kj::AsyncInputStream, public kj::AsyncOutputStream {
 public:
  explicit DirectStream(int fd): in(fd), out(fd) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    return kj::evalNow([&]() -> kj::Promise<size_t> {
      return in.tryRead(buffer, minBytes, maxBytes);
    });
  }
  kj::Promise<void> write(const void* buffer, size_t size) override {
    return kj::evalNow([&]() -> kj::Promise<void> {
      out.write(buffer, size);
      return kj::READY_NOW;
    });
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return kj::evalNow([&]() -> kj::Promise<void> {
      out.write(pieces);
      return kj::READY_NOW;
    });
  }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }

 private:
  kj::FdInputStream in;
  kj::FdOutputStream out;
};

bool canBeWaitedFor(int fd) {
  int raw = epoll_create1(EPOLL_CLOEXEC);
  KJ_SYSCALL(raw, "a descriptor more for the standard streams");
  kj::AutoCloseFd epoll(raw);
  epoll_event event{};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// A description of our own for the same thing, so that O_NONBLOCK is ours alone. Sockets cannot be
// opened that way, nor a terminal of another user's.
kj::Maybe<kj::AutoCloseFd> openAnew(int fd, int flags) {
  int anew = open(kj::str("/proc/self/fd/", fd).cStr(), flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (anew < 0) return nullptr;
  return kj::AutoCloseFd(anew);
}

template <typename Stream, typename Wrap>
kj::Own<Stream> openStandard(int fd, int flags, Wrap&& wrap) {
  if (!canBeWaitedFor(fd)) return kj::heap<DirectStream>(fd);
  KJ_IF_MAYBE(anew, openAnew(fd, flags)) {
    return wrap(kj::mv(*anew));
  }
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  KJ_SYSCALL(copy);
  int shared = fcntl(copy, F_GETFL);
  KJ_SYSCALL(shared);
  auto putBack = kj::defer([fd, shared]() { fcntl(fd, F_SETFL, shared); });
  return wrap(kj::AutoCloseFd(copy)).attach(kj::mv(putBack));
}

constexpr kj::uint WRAP_FLAGS = kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC;

kj::Own<kj::AsyncOutputStream> openOutput(kj::LowLevelAsyncIoProvider& io, int fd) {
  return openStandard<kj::AsyncOutputStream>(fd, O_WRONLY, [&](kj::AutoCloseFd own) {
    return io.wrapOutputFd(kj::mv(own), WRAP_FLAGS);
  });
}

}  // namespace

void requireStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest number is taken, which is this one.
    int opened = open("/dev/null", O_RDWR | O_NOCTTY);
    KJ_SYSCALL(opened, "/dev/null cannot be opened");
    KJ_ASSERT(opened == fd);
  }
}

kj::Own<kj::AsyncInputStream> openStdin(kj::LowLevelAsyncIoProvider& io) {
  return openStandard<kj::AsyncInputStream>(STDIN_FILENO, O_RDONLY, [&](kj::AutoCloseFd own) {
    return io.wrapInputFd(kj::mv(own), WRAP_FLAGS);
  });
}
kj::Own<kj::AsyncOutputStream> openStdout(kj::LowLevelAsyncIoProvider& io) {
  return openOutput(io, STDOUT_FILENO);
}
kj::Own<kj::AsyncOutputStream> openStderr(kj::LowLevelAsyncIoProvider& io) {
  return openOutput(io, STDERR_FILENO);
}

StandardStreams openStandardStreams(kj::LowLevelAsyncIoProvider& io) {
  return {openStdin(io), openStdout(io), openStderr(io)};
}

kj::Promise<uint64_t> copyStream(kj::AsyncInputStream& from, kj::AsyncOutputStream& to) {
  auto buffer = kj::heapArray<kj::byte>(COPY_BYTES);
  uint64_t total = 0;
  for (;;) {
    auto n = co_await from.tryRead(buffer.begin(), 1, buffer.size());
    if (n == 0) co_return total;
    co_await to.write(buffer.begin(), n);
    total += n;
  }
}

}  // namespace ww
