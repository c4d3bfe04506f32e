#include "ww/streams.h"

#include <kj/debug.h>
#include <string.h>
#include <sys/socket.h>

namespace ww {
namespace {

// What Cap'n Proto takes for its window of streaming calls: the host's pipe.
constexpr int SEND_BUFFER_BYTES = 64 * 1024;

// Up to here, pieces are gathered in place; a host call costs more than the copy.
constexpr size_t GATHER_BYTES = 16 * 1024;

kj::Exception hostGone() {
  return KJ_EXCEPTION(DISCONNECTED, "the host closed the connection");
}

void dropError(uint8_t tag, wasi::Handle error) {
  if (tag == 0) wasi::ww_error_drop(error);
}

}  // namespace

// -------------------------------------------------------------------------------- InputStream

InputStream::InputStream(EventPort& port, wasi::Handle handle)
    : port(port), handle(handle), ready(wasi::ww_input_stream_subscribe(handle)) {}

void InputStream::close() {
  ready.reset();
  handle.reset();
  atEnd = true;
}

size_t InputStream::readNow(kj::byte* buffer, size_t size) {
  wasi::ReadResult result{};
  {
    wasi::PlaceNextList place(buffer, size);
    wasi::ww_input_stream_read(*handle, size, &result);
  }
  if (result.isErr) {
    // A read that failed ends the stream as a close does: the RPC system fails what is in flight.
    atEnd = true;
    dropError(result.err.tag, result.err.error);
    return 0;
  }
  drained = result.ok.len < size;
  return result.ok.len;
}

kj::Promise<size_t> InputStream::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  return readMore(static_cast<kj::byte*>(buffer), kj::max(minBytes, size_t(1)), maxBytes, 0);
}

kj::Promise<size_t> InputStream::readMore(kj::byte* buffer, size_t minBytes, size_t maxBytes,
                                          size_t done) {
  while (!drained && !atEnd) {
    done += readNow(buffer + done, maxBytes - done);
    if (done >= minBytes) return done;
  }
  if (atEnd) return done;
  return port.whenReady(*ready).then([this, buffer, minBytes, maxBytes, done]() {
    drained = false;
    return readMore(buffer, minBytes, maxBytes, done);
  });
}

// --------------------------------------------------------------------------------- HostStream

HostStream::HostStream(EventPort& port): HostStream(port, kj::newPromiseAndFulfiller<void>()) {}

HostStream::HostStream(EventPort& port, kj::PromiseFulfillerPair<void> disconnect)
    : port(port), connection(wasi::ww_create_connection()),
      in(port, wasi::ww_connection_get_input_stream(*connection)),
      out(wasi::ww_connection_get_output_stream(*connection)),
      outReady(wasi::ww_output_stream_subscribe(*out)), disconnected(disconnect.promise.fork()),
      disconnectFulfiller(kj::mv(disconnect.fulfiller)) {}

kj::Promise<size_t> HostStream::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  return in.tryRead(buffer, minBytes, maxBytes);
}

size_t HostStream::writeNow(kj::ArrayPtr<const kj::byte> data) {
  wasi::CheckWriteResult room{};
  wasi::ww_output_stream_check_write(*out, &room);
  if (room.isErr) {
    dropError(room.err.tag, room.err.error);
    disconnectFulfiller->fulfill();
    kj::throwFatalException(hostGone());
  }
  size_t size = kj::min(room.ok, uint64_t(data.size()));
  if (size == 0) return 0;
  wasi::WriteResult result{};
  wasi::ww_output_stream_write(*out, data.begin(), size, &result);
  if (result.isErr) {
    dropError(result.err.tag, result.err.error);
    disconnectFulfiller->fulfill();
    kj::throwFatalException(hostGone());
  }
  return size;
}

kj::Promise<void> HostStream::writeRest(kj::ArrayPtr<const kj::byte> data,
                                        kj::Array<kj::byte> backing) {
  return port.whenReady(*outReady).then(
      [this, data, backing = kj::mv(backing)]() mutable -> kj::Promise<void> {
    auto rest = data.slice(writeNow(data), data.size());
    if (rest.size() == 0) return kj::READY_NOW;
    return writeRest(rest, kj::mv(backing));
  });
}

kj::Promise<void> HostStream::write(const void* buffer, size_t size) {
  return kj::evalNow([&]() -> kj::Promise<void> {
    auto data = kj::arrayPtr(static_cast<const kj::byte*>(buffer), size);
    auto rest = data.slice(writeNow(data), size);
    if (rest.size() == 0) return kj::READY_NOW;
    return writeRest(rest, nullptr);
  });
}

kj::Promise<void> HostStream::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  size_t size = 0;
  for (auto& piece: pieces) size += piece.size();
  auto gather = [&](kj::byte* to) {
    for (auto& piece: pieces) {
      if (piece.size() > 0) memcpy(to, piece.begin(), piece.size());
      to += piece.size();
    }
  };
  return kj::evalNow([&]() -> kj::Promise<void> {
    if (size <= GATHER_BYTES) {
      kj::byte gathered[GATHER_BYTES];
      gather(gathered);
      auto done = writeNow(kj::arrayPtr(gathered, size));
      if (done == size) return kj::READY_NOW;
      auto backing = kj::heapArray<kj::byte>(gathered + done, size - done);
      auto rest = backing.asPtr();
      return writeRest(rest, kj::mv(backing));
    }
    auto backing = kj::heapArray<kj::byte>(size);
    gather(backing.begin());
    auto rest = backing.slice(writeNow(backing), size);
    if (rest.size() == 0) return kj::READY_NOW;
    return writeRest(rest, kj::mv(backing));
  });
}

kj::Promise<void> HostStream::whenWriteDisconnected() { return disconnected.addBranch(); }

void HostStream::shutdownWrite() {
  outReady.reset();
  out.reset();
}

void HostStream::abortRead() { in.close(); }

void HostStream::getsockopt(int level, int option, void* value, kj::uint* length) {
  KJ_REQUIRE(level == SOL_SOCKET && option == SO_SNDBUF && *length >= sizeof(SEND_BUFFER_BYTES));
  *static_cast<int*>(value) = SEND_BUFFER_BYTES;
  *length = sizeof(SEND_BUFFER_BYTES);
}

}  // namespace ww
