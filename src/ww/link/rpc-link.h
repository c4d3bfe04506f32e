#pragma once
// One RPC connection: the two-party protocol, level 1, under the limits of this node. The one place
// that chooses the network underneath; nothing else names it.
//
// The node is the server side, whose bootstrap capability the peer asks for. Dropping the link
// disconnects: calls in flight fail, the peer's references are released. Never drop it from within
// a call that it is delivering.

#include <capnp/capability.h>
#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/timer.h>
#include <ww/base/byte-channel.h>
#include <ww/link/frame-limits.h>
#include <ww/link/quota-network.h>

namespace ww {

struct LinkLimits {
  FrameLimits frame;
  QuotaLimits quota;

  // For a peer that does not read: above it the link ends, and all of it is dropped. Over a stream
  // a message is counted with what it costs beside its words; what is being written is not counted,
  // which is less than as much again.
  size_t unsentBytes = size_t(32) << 20;

  // A message that was begun goes on more slowly than StallWatch says for so long: the link ends.
  kj::Duration patience = 10 * kj::SECONDS;
};

class RpcLink final {
 public:
  // Each takes its bytes over, and speaks as the server. A cell's are a channel; a stream is for
  // what comes from elsewhere. `timer` outlives it.
  RpcLink(kj::Own<ByteChannel> channel, capnp::Capability::Client bootstrap, kj::Timer& timer,
          LinkLimits limits = {});
  RpcLink(kj::Own<kj::AsyncIoStream> stream, capnp::Capability::Client bootstrap, kj::Timer& timer,
          LinkLimits limits = {});
  ~RpcLink() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(RpcLink);

  // Of a link over a stream: takes these from now on, at most those that it was made with. A link
  // whose peer has yet to say who it is starts with less.
  void setLimits(LinkLimits limits);

  LinkUse getUse() const;

  // Called with the name of a limit that the peer came up against: a call was refused, or the link
  // ends. Not to drop the link.
  void onHits(kj::Function<void(kj::StringPtr limit)> tell);

  // What the peer offers of its own, over a stream. Its first call fails where that is nothing.
  capnp::Capability::Client bootstrap();

  // Resolves when the connection is over, for whatever reason, and what the peer was yet to be told
  // is sent or given up. Any number of callers.
  kj::Promise<void> onDisconnect();

  // Of a link over a stream: resolves as soon as the peer is no longer heard. Whoever does not want
  // to wait until it has read what is unsent drops the link.
  kj::Promise<void> onEnd();

 private:
  class Impl;
  class OverChannel;
  class OverStream;
  kj::Own<Impl> impl;
};

}  // namespace ww
