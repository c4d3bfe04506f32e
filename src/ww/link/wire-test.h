#pragma once
// The bytes under a link: a stream, as a client's, or a channel, as a cell's. A test has a stream
// at its own end of either.

#include <kj/async-io.h>
#include <ww/link/channel-stream.h>
#include <ww/link/memory-channel.h>
#include <ww/link/rpc-link.h>

namespace ww {

enum class Over { STREAM, CHANNEL };

class Wire {
 public:
  explicit Wire(Over over) {
    if (over == Over::STREAM) {
      auto pipe = kj::newTwoWayPipe();
      stream = kj::mv(pipe.ends[0]);
      end = kj::mv(pipe.ends[1]);
    } else {
      channel = kj::heap<MemoryChannel>(in, out, kj::maxValue);
      auto other = kj::heap<MemoryChannel>(out, in, kj::maxValue);
      channel->setPeer(*other);
      other->setPeer(*channel);
      end = kj::heap<ChannelStream>(kj::mv(other));
    }
  }
  KJ_DISALLOW_COPY_AND_MOVE(Wire);

  // Once.
  kj::Own<RpcLink> makeLink(capnp::Capability::Client bootstrap, kj::Timer& timer,
                            LinkLimits limits = {}) {
    if (channel.get() == nullptr) {
      return kj::heap<RpcLink>(kj::mv(stream), kj::mv(bootstrap), timer, limits);
    }
    return kj::heap<RpcLink>(kj::mv(channel), kj::mv(bootstrap), timer, limits);
  }

  kj::AsyncIoStream& operator*() { return *end; }
  kj::AsyncIoStream* operator->() { return end; }

 private:
  MemoryPipe in, out;
  kj::Own<kj::AsyncIoStream> stream, end;
  kj::Own<MemoryChannel> channel;
};

}  // namespace ww
