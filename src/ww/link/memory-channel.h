#pragma once
// Two ends of a byte channel in one process, without a guest between them: for tests. What is on
// its way lies open for the test to look at and to change. One event loop.

#include <kj/async.h>
#include <kj/debug.h>
#include <string.h>
#include <string>
#include <ww/base/byte-channel.h>

namespace ww {

// One direction: bytes on their way, and how many fit.
struct MemoryPipe {
  std::string bytes;
  size_t capacity = 64 * 1024;
  bool writeClosed = false;
  bool readClosed = false;
};

// An end of two pipes, in memory. Moves at most `step` bytes at a time.
class MemoryChannel final: public ByteChannel, private kj::TaskSet::ErrorHandler {
 public:
  MemoryChannel(MemoryPipe& in, MemoryPipe& out, size_t step)
      : in(in), out(out), step(step), tasks(*this) {}
  ~MemoryChannel() noexcept(false) {
    out.writeClosed = true;
    in.readClosed = true;
    KJ_IF_MAYBE(p, peer) { p->peer = nullptr; p->wakeBoth(); }
  }

  void setPeer(MemoryChannel& channel) { peer = channel; }
  void attach(User& u) override { user = u; }

  kj::Maybe<size_t> read(kj::ArrayPtr<kj::byte> buffer) override {
    KJ_ASSERT(buffer.size() > 0);
    if (in.bytes.empty() && in.writeClosed) return nullptr;
    auto n = kj::min(kj::min(buffer.size(), step), in.bytes.size());
    memcpy(buffer.begin(), in.bytes.data(), n);
    in.bytes.erase(0, n);
    KJ_IF_MAYBE(p, peer) p->wakeWriter();
    return n;
  }

  kj::Maybe<size_t> write(kj::ArrayPtr<const kj::byte> bytes) override {
    if (out.readClosed) return nullptr;
    auto room = out.capacity - kj::min(out.capacity, out.bytes.size());
    auto n = kj::min(kj::min(bytes.size(), step), room);
    out.bytes.append(reinterpret_cast<const char*>(bytes.begin()), n);
    if (n < bytes.size() && n > 0) wakeWriter();
    KJ_IF_MAYBE(p, peer) p->wakeReader();
    return n;
  }

  void wakeReader() override { later(&User::onReadable); }
  void wakeWriter() override { later(&User::onWritable); }
  void closeWrite() override {
    out.writeClosed = true;
    KJ_IF_MAYBE(p, peer) p->wakeReader();
  }
  void wakeBoth() {
    wakeReader();
    wakeWriter();
  }

 private:
  void later(void (User::*tell)()) {
    tasks.add(kj::evalLater([this, tell]() { KJ_IF_MAYBE(u, user) (u->*tell)(); }));
  }
  void taskFailed(kj::Exception&& exception) override { KJ_LOG(ERROR, exception); }

  MemoryPipe& in;
  MemoryPipe& out;
  const size_t step;
  kj::Maybe<User&> user;
  kj::Maybe<MemoryChannel&> peer;
  kj::TaskSet tasks;
};

}  // namespace ww
