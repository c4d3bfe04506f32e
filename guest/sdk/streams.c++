#include "ww/streams.h"

namespace ww {
namespace {

void dropError(uint8_t tag, wasi::Handle error) {
  if (tag == 0) wasi::ww_error_drop(error);
}

}  // namespace

InputStream::InputStream(EventPort& port, wasi::Handle handle)
    : port(port), handle(handle), ready(wasi::ww_input_stream_subscribe(handle)) {}

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
  if (maxBytes == 0) return size_t(0);
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

}  // namespace ww
