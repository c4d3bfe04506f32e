#pragma once
// Standard input as a KJ stream.

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

}  // namespace ww
