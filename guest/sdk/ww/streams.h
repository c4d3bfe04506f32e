#pragma once
// The guest's ends of its pipes, as KJ streams: the connection to its host, and standard input.

#include <kj/async-io.h>
#include "ww/event-port.h"

namespace ww {

// Reads one WASI input stream. A read that follows the host's word that there is something, and
// finds nothing, waits again: it is no end of file.
class InputStream final: public kj::AsyncInputStream {
 public:
  // Takes the handle over. `port` outlives it.
  InputStream(EventPort& port, wasi::Handle handle);
  KJ_DISALLOW_COPY_AND_MOVE(InputStream);

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;

  // Closes it: the host finds a stream that nobody reads.
  void close();

 private:
  // At most `size` bytes, straight into `buffer`; 0 if there are none now or, with `atEnd` set,
  // ever again.
  size_t readNow(kj::byte* buffer, size_t size);
  kj::Promise<size_t> readMore(kj::byte* buffer, size_t minBytes, size_t maxBytes, size_t done);

  EventPort& port;
  wasi::Owned<wasi::ww_input_stream_drop> handle;
  wasi::Owned<wasi::ww_pollable_drop> ready;  // as long as the stream; goes first
  bool drained = false;  // the last read gave less than was asked for: wait before the next one
  bool atEnd = false;
};

// The connection to the host.
class HostStream final: public kj::AsyncIoStream {
 public:
  // A guest has one; a second one traps.
  explicit HostStream(EventPort& port);
  KJ_DISALLOW_COPY_AND_MOVE(HostStream);

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override;
  void shutdownWrite() override;
  void abortRead() override;
  void getsockopt(int level, int option, void* value, kj::uint* length) override;

 private:
  HostStream(EventPort& port, kj::PromiseFulfillerPair<void> disconnect);

  // Writes what the host takes now, and returns how much that is; throws once nobody reads.
  size_t writeNow(kj::ArrayPtr<const kj::byte> data);
  kj::Promise<void> writeRest(kj::ArrayPtr<const kj::byte> data, kj::Array<kj::byte> backing);

  EventPort& port;
  wasi::Owned<wasi::ww_connection_drop> connection;
  InputStream in;
  wasi::Owned<wasi::ww_output_stream_drop> out;
  wasi::Owned<wasi::ww_pollable_drop> outReady;
  kj::ForkedPromise<void> disconnected;
  kj::Own<kj::PromiseFulfiller<void>> disconnectFulfiller;
};

}  // namespace ww
