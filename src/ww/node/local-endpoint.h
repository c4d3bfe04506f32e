#pragma once
// The owner's way in: a Unix socket in the data directory. The directory is held by a lock file for
// as long as the node runs; under the lock, a socket that an earlier node left is replaced. Whoever
// connects must be of this node's user.

#include <kj/async-io.h>
#include <kj/timer.h>
#include <kj/async-unix.h>
#include <kj/function.h>
#include <kj/io.h>

namespace ww {

// Held until dropped. Throws, naming the folder and its holder, while another node has it.
kj::AutoCloseFd lockDataDir(kj::StringPtr folder);

class LocalEndpoint final {
 public:
  // Listens on `folder`/ww.sock. The caller holds the folder's lock. Throws, naming what and the
  // limit, for a path that is too long for a socket.
  LocalEndpoint(kj::LowLevelAsyncIoProvider& io, kj::StringPtr folder);
  ~LocalEndpoint() noexcept(false);  // removes the socket
  KJ_DISALLOW_COPY_AND_MOVE(LocalEndpoint);

  // Has `handler` called with every connection of this user. Never resolves.
  // A connection that the process has no descriptor for waits until there is one.
  kj::Promise<void> serve(kj::Timer& timer,
                          kj::Function<void(kj::Own<kj::AsyncIoStream>)> handler);

 private:
  const kj::String path;
  kj::Own<kj::ConnectionReceiver> receiver;
};

// A connection to the socket at `path`, which may be a folder that has one. Rejects, saying what to
// do, if no node listens there.
kj::Promise<kj::Own<kj::AsyncIoStream>> connectLocal(kj::LowLevelAsyncIoProvider& io,
                                                     kj::StringPtr path);

}  // namespace ww
