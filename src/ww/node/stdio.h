#pragma once
// The process's own standard streams, as KJ streams that never block the loop and that leave the
// descriptors' flags as they are for whoever shares them (a shell, a pipe's other end).
//
// Terminals and pipes are opened anew, without blocking. Sockets cannot be: their flags are put
// back when the stream goes. Files and the like, for which there is nothing to wait, are read and
// written directly.

#include <kj/async-io.h>
#include <kj/async-unix.h>

namespace ww {

// Before any other descriptor is opened: where the process was started without a standard stream,
// there is an empty one, so that its number goes to nothing else.
void requireStandardStreams();

kj::Own<kj::AsyncInputStream> openStdin(kj::LowLevelAsyncIoProvider& io);
kj::Own<kj::AsyncOutputStream> openStdout(kj::LowLevelAsyncIoProvider& io);
kj::Own<kj::AsyncOutputStream> openStderr(kj::LowLevelAsyncIoProvider& io);

struct StandardStreams {
  kj::Own<kj::AsyncInputStream> in;
  kj::Own<kj::AsyncOutputStream> out, err;
};
StandardStreams openStandardStreams(kj::LowLevelAsyncIoProvider& io);

// Copies until the end of `from`. Resolves to the number of bytes; rejects when `to` takes no more.
// Both live until then.
kj::Promise<uint64_t> copyStream(kj::AsyncInputStream& from, kj::AsyncOutputStream& to);

}  // namespace ww
