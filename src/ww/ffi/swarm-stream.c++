#include <ww/ffi/swarm-stream.h>

#include <kj/debug.h>
#include <sys/socket.h>
#include <ww/ffi/fence.h>
#include <ww/ffi/swarm-thread.h>
#include <ww_swarm.h>

namespace ww::ffi {
namespace {

kj::Exception lost() { return KJ_EXCEPTION(DISCONNECTED, "the stream to the peer is gone"); }

// What Cap'n Proto takes for its window of streaming calls: yamux's own, at the start.
constexpr int SEND_BUFFER_BYTES = 256 * 1024;

}  // namespace

class SwarmStream::ReadOp {
 public:
  ReadOp(kj::PromiseFulfiller<size_t>& fulfiller, SwarmStream& stream, kj::byte* buffer,
         size_t minBytes, size_t maxBytes, size_t done)
      : fulfiller(fulfiller), stream(stream), buffer(buffer), minBytes(minBytes),
        maxBytes(maxBytes), done(done) {
    KJ_REQUIRE(stream.reading == nullptr, "one read at a time");
    stream.reading = *this;
  }
  ~ReadOp() noexcept(false) { stream.reading = nullptr; }
  KJ_DISALLOW_COPY_AND_MOVE(ReadOp);

  void step() {
    while (done < minBytes) {
      auto n = ww_stream_read(stream.raw, buffer + done, maxBytes - done);
      if (n == 0) return;
      if (n < 0) break;
      done += n;
    }
    end();
  }
  void end() { fulfiller.fulfill(kj::cp(done)); }

 private:
  kj::PromiseFulfiller<size_t>& fulfiller;
  SwarmStream& stream;
  kj::byte* buffer;
  size_t minBytes, maxBytes, done;
};

class SwarmStream::WriteOp {
 public:
  WriteOp(kj::PromiseFulfiller<void>& fulfiller, SwarmStream& stream,
          kj::Array<const kj::ArrayPtr<const kj::byte>> pieces, size_t done, size_t total)
      : fulfiller(fulfiller), stream(stream), pieces(kj::mv(pieces)), done(done), total(total) {
    KJ_REQUIRE(stream.writing == nullptr, "one write at a time");
    stream.writing = *this;
  }
  ~WriteOp() noexcept(false) { stream.writing = nullptr; }
  KJ_DISALLOW_COPY_AND_MOVE(WriteOp);

  void step() {
    auto n = stream.put(pieces, done);
    if (n < 0) return fail();
    done += n;
    if (done == total) fulfiller.fulfill();
  }
  bool isDone() const { return done == total; }  // and waits for the loop to say so
  void fail() { fulfiller.reject(lost()); }

 private:
  kj::PromiseFulfiller<void>& fulfiller;
  SwarmStream& stream;
  kj::Array<const kj::ArrayPtr<const kj::byte>> pieces;
  size_t done, total;
};

SwarmStream::SwarmStream(SwarmThread& thread, WwStream* raw)
    : SwarmStream(thread, raw, kj::newPromiseAndFulfiller<void>()) {}

SwarmStream::SwarmStream(SwarmThread& owner, WwStream* raw, kj::PromiseFulfillerPair<void> paf)
    : thread(owner), raw(raw), deadFulfiller(kj::mv(paf.fulfiller)),
      deadPromise(paf.promise.fork()) {
  owner.streams.insert(ww_stream_id(raw), this);
}

SwarmStream::~SwarmStream() noexcept(false) {
  KJ_IF_MAYBE(t, thread) t->streams.erase(ww_stream_id(raw));
  ww_stream_drop(raw);
}

void SwarmStream::onReadable() {
  KJ_IF_MAYBE(op, reading) op->step();
}

void SwarmStream::onWritable() {
  KJ_IF_MAYBE(op, writing) {
    if (!op->isDone()) return op->step();
  }
  ww_stream_drive(raw);
}

void SwarmStream::onThreadGone() {
  thread = nullptr;
  setDead();
  KJ_IF_MAYBE(op, reading) op->end();
  KJ_IF_MAYBE(op, writing) op->fail();
}

void SwarmStream::setDead() {
  dead = true;
  deadFulfiller->fulfill();
}

kj::Promise<size_t> SwarmStream::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  auto to = static_cast<kj::byte*>(buffer);
  size_t done = 0;
  if (maxBytes == 0) return done;
  do {
    auto n = ww_stream_read(raw, to + done, maxBytes - done);
    if (n < 0) return done;
    if (n == 0) {
      if (minBytes == 0 || thread == nullptr) return done;
      return kj::newAdaptedPromise<size_t, ReadOp>(*this, to, minBytes, maxBytes, done);
    }
    done += n;
  } while (done < minBytes);
  return done;
}

ssize_t SwarmStream::put(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, size_t skip) {
  if (dead) return -1;
  KJ_STACK_ARRAY(WwSlice, slices, pieces.size(), 16, 64);
  size_t count = 0;
  for (auto piece: pieces) {
    if (skip >= piece.size()) {
      skip -= piece.size();
      continue;
    }
    slices[count++] = slice(piece.slice(skip, piece.size()));
    skip = 0;
  }
  auto n = ww_stream_write(raw, slices.begin(), count);
  if (n < 0) setDead();
  return n;
}

kj::Promise<void> SwarmStream::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  size_t total = 0;
  for (auto& piece: pieces) total += piece.size();
  auto n = put(pieces, 0);
  if (n < 0) return lost();
  if (size_t(n) == total) return kj::READY_NOW;
  return kj::newAdaptedPromise<void, WriteOp>(*this, kj::heapArray(pieces), size_t(n), total);
}

kj::Promise<void> SwarmStream::write(const void* buffer, size_t size) {
  auto piece = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
  return write(kj::arrayPtr(&piece, 1));
}

kj::Promise<void> SwarmStream::whenWriteDisconnected() { return deadPromise.addBranch(); }

void SwarmStream::shutdownWrite() { ww_stream_close_write(raw); }

void SwarmStream::getsockopt(int level, int option, void* value, kj::uint* length) {
  KJ_REQUIRE(level == SOL_SOCKET && option == SO_SNDBUF && *length >= sizeof(SEND_BUFFER_BYTES));
  *static_cast<int*>(value) = SEND_BUFFER_BYTES;
  *length = sizeof(SEND_BUFFER_BYTES);
}

}  // namespace ww::ffi
