#include <ww/ffi/pipe-stream.h>

#include <kj/debug.h>
#include <kj/vector.h>
#include <sys/socket.h>
#include <ww/ffi/fence.h>

namespace ww::ffi {
namespace {

kj::Exception closedByGuest() {
  return KJ_EXCEPTION(DISCONNECTED, "the guest no longer reads");
}

// What Cap'n Proto takes for its window of streaming calls.
constexpr int SEND_BUFFER_BYTES = 64 * 1024;

}  // namespace

// With nothing to read, it waits until there is something.
class PipeStream::ReadOp {
 public:
  ReadOp(kj::PromiseFulfiller<size_t>& fulfiller, PipeStream& stream, kj::byte* buffer,
         size_t minBytes, size_t maxBytes, size_t done)
      : fulfiller(fulfiller), stream(stream), buffer(buffer), minBytes(minBytes),
        maxBytes(maxBytes), done(done) {
    KJ_REQUIRE(stream.reading == nullptr, "one read at a time");
    stream.reading = *this;
  }
  ~ReadOp() noexcept(false) { stream.reading = nullptr; }
  KJ_DISALLOW_COPY_AND_MOVE(ReadOp);

  void step() {
    if (minBytes == 0) {
      if (ww_pipe_readable(stream.fromGuest) != 0) fulfiller.fulfill(0);
      return;
    }
    while (done < minBytes) {
      auto n = ww_pipe_read(stream.fromGuest, buffer + done, maxBytes - done);
      if (n == 0) return;
      if (n < 0) break;
      done += n;
    }
    fulfiller.fulfill(kj::cp(done));
  }

 private:
  kj::PromiseFulfiller<size_t>& fulfiller;
  PipeStream& stream;
  kj::byte* buffer;
  size_t minBytes, maxBytes, done;
};

class PipeStream::WriteOp {
 public:
  WriteOp(kj::PromiseFulfiller<void>& fulfiller, PipeStream& stream,
          kj::Array<const kj::ArrayPtr<const kj::byte>> pieces, size_t done, size_t total)
      : fulfiller(fulfiller), stream(stream), pieces(kj::mv(pieces)), done(done), total(total) {
    KJ_REQUIRE(stream.writing == nullptr, "one write at a time");
    stream.writing = *this;
  }
  ~WriteOp() noexcept(false) { stream.writing = nullptr; }
  KJ_DISALLOW_COPY_AND_MOVE(WriteOp);

  void step() {
    auto n = stream.put(pieces, done);
    if (n < 0) {
      fulfiller.reject(closedByGuest());
      return;
    }
    done += n;
    if (done == total) fulfiller.fulfill();
  }

 private:
  kj::PromiseFulfiller<void>& fulfiller;
  PipeStream& stream;
  kj::Array<const kj::ArrayPtr<const kj::byte>> pieces;
  size_t done, total;
};

PipeStream::PipeStream(WwPipe* toGuest, WwPipe* fromGuest): toGuest(toGuest), fromGuest(fromGuest) {
  if (toGuest != nullptr) ww_pipe_set_host(toGuest, static_cast<PipeListener*>(&writeEnd));
  if (fromGuest != nullptr) ww_pipe_set_host(fromGuest, static_cast<PipeListener*>(&readEnd));
}

PipeStream::~PipeStream() noexcept(false) {
  if (toGuest != nullptr) {
    ww_pipe_set_host(toGuest, nullptr);
    ww_pipe_close_write(toGuest);
    ww_pipe_drop(toGuest);
  }
  if (fromGuest != nullptr) {
    ww_pipe_set_host(fromGuest, nullptr);
    ww_pipe_close_read(fromGuest);
    ww_pipe_drop(fromGuest);
  }
}

void PipeStream::ReadEnd::onPipeEvent() noexcept {
  KJ_IF_MAYBE(op, stream.reading) op->step();
}

void PipeStream::WriteEnd::onPipeEvent() noexcept {
  KJ_IF_MAYBE(op, stream.writing) op->step();
  KJ_IF_MAYBE(fulfiller, stream.disconnectFulfiller) {
    if (ww_pipe_is_read_closed(stream.toGuest)) (*fulfiller)->fulfill();
  }
  KJ_IF_MAYBE(fulfiller, stream.wantedFulfiller) {
    if (ww_pipe_is_wanted(stream.toGuest)) (*fulfiller)->fulfill();
  }
}

kj::Promise<size_t> PipeStream::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  KJ_REQUIRE(fromGuest != nullptr, "this pipe is written to");
  auto to = static_cast<kj::byte*>(buffer);
  size_t done = 0;
  if (maxBytes == 0) return done;
  do {
    auto n = ww_pipe_read(fromGuest, to + done, maxBytes - done);
    if (n < 0) return done;
    if (n == 0) {
      if (minBytes == 0) return done;
      return kj::newAdaptedPromise<size_t, ReadOp>(*this, to, minBytes, maxBytes, done);
    }
    done += n;
  } while (done < minBytes);
  return done;
}

kj::Promise<void> PipeStream::whenReadable() {
  KJ_REQUIRE(fromGuest != nullptr, "this pipe is written to");
  if (ww_pipe_readable(fromGuest) != 0) return kj::READY_NOW;
  return kj::newAdaptedPromise<size_t, ReadOp>(*this, nullptr, 0, 0, 0).ignoreResult();
}

size_t PipeStream::readableNow() const {
  auto n = ww_pipe_readable(fromGuest);
  return n < 0 ? 0 : size_t(n);
}

void PipeStream::readNow(kj::ArrayPtr<kj::byte> space) {
  KJ_ASSERT(ww_pipe_read(fromGuest, space.begin(), space.size()) == ssize_t(space.size()));
}

ssize_t PipeStream::put(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces, size_t skip) {
  constexpr size_t BATCH = 16;
  WwSlice slices[BATCH];
  ssize_t taken = 0;
  size_t next = 0;
  while (next < pieces.size()) {
    size_t count = 0, offered = 0;
    for (; next < pieces.size() && count < BATCH; next++) {
      auto piece = pieces[next];
      if (skip >= piece.size()) {
        skip -= piece.size();
        continue;
      }
      auto rest = piece.slice(skip, piece.size());
      skip = 0;
      slices[count++] = slice(rest);
      offered += rest.size();
    }
    if (count == 0) break;
    auto n = ww_pipe_write(toGuest, slices, count);
    if (n < 0) return -1;
    taken += n;
    if (size_t(n) < offered) break;
  }
  return taken;
}

kj::Promise<void> PipeStream::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  KJ_REQUIRE(toGuest != nullptr, "this pipe is read from");
  size_t total = 0;
  for (auto& piece: pieces) total += piece.size();
  auto n = put(pieces, 0);
  if (n < 0) return closedByGuest();
  if (size_t(n) == total) return kj::READY_NOW;
  return kj::newAdaptedPromise<void, WriteOp>(*this, kj::heapArray(pieces), size_t(n), total);
}

kj::Promise<void> PipeStream::write(const void* buffer, size_t size) {
  auto piece = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
  return write(kj::arrayPtr(&piece, 1));
}

kj::Promise<void> PipeStream::whenWriteDisconnected() {
  KJ_REQUIRE(toGuest != nullptr, "this pipe is read from");
  if (ww_pipe_is_read_closed(toGuest)) return kj::READY_NOW;
  KJ_IF_MAYBE(promise, disconnected) return promise->addBranch();
  auto paf = kj::newPromiseAndFulfiller<void>();
  disconnectFulfiller = kj::mv(paf.fulfiller);
  return disconnected.emplace(paf.promise.fork()).addBranch();
}

kj::Promise<void> PipeStream::onWanted() {
  KJ_REQUIRE(toGuest != nullptr, "this pipe is read from");
  if (ww_pipe_is_wanted(toGuest)) return kj::READY_NOW;
  auto paf = kj::newPromiseAndFulfiller<void>();
  wantedFulfiller = kj::mv(paf.fulfiller);
  return kj::mv(paf.promise);
}

void PipeStream::shutdownWrite() { ww_pipe_close_write(toGuest); }
void PipeStream::abortRead() { ww_pipe_close_read(fromGuest); }

void PipeStream::getsockopt(int level, int option, void* value, kj::uint* length) {
  KJ_REQUIRE(level == SOL_SOCKET && option == SO_SNDBUF && *length >= sizeof(SEND_BUFFER_BYTES));
  *static_cast<int*>(value) = SEND_BUFFER_BYTES;
  *length = sizeof(SEND_BUFFER_BYTES);
}

void PipeStream::setDiscards(bool discards) { ww_pipe_set_discards(fromGuest, discards); }
uint64_t PipeStream::discardedBytes() const { return ww_pipe_discarded(fromGuest); }

}  // namespace ww::ffi
