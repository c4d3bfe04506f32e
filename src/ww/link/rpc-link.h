#pragma once
// One RPC connection over a byte stream: the two-party protocol, level 1, under the limits of this
// node. The one place that chooses the network underneath; nothing else names it.
//
// The node is the server side, whose bootstrap capability the peer asks for. Dropping the link
// disconnects: calls in flight fail, the peer's references are released. Never drop it from within
// a call that it is delivering.

#include <capnp/capability.h>
#include <kj/async-io.h>
#include <ww/link/frame-guard.h>

namespace ww {

struct LinkLimits {
  FrameLimits frame;
};

class RpcLink final {
 public:
  // Takes the stream over, and speaks as the server.
  RpcLink(kj::Own<kj::AsyncIoStream> stream, capnp::Capability::Client bootstrap,
          LinkLimits limits = {});
  ~RpcLink() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(RpcLink);

  // Resolves when the connection is over, for whatever reason. Any number of callers.
  kj::Promise<void> onDisconnect();

 private:
  struct Impl;
  kj::Own<Impl> impl;
};

}  // namespace ww
