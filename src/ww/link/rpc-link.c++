#include <ww/link/rpc-link.h>

#include <capnp/rpc-twoparty.h>
#include <capnp/serialize-async.h>

namespace ww {

struct RpcLink::Impl {
  FrameGuard stream;
  capnp::BufferedMessageStream messages;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> system;

  Impl(kj::Own<kj::AsyncIoStream> raw, capnp::Capability::Client bootstrap, LinkLimits limits)
      : stream(kj::mv(raw), limits.frame),
        messages(stream, capnp::IncomingRpcMessage::getShortLivedCallback()),
        network(messages, capnp::rpc::twoparty::Side::SERVER, readerOptions(limits)),
        system(capnp::makeRpcServer(network, kj::mv(bootstrap))) {}

  static capnp::ReaderOptions readerOptions(const LinkLimits& limits) {
    // Also the largest message that the network reads, counted without its header: the guard's
    // limit is the one that counts.
    capnp::ReaderOptions options;
    options.traversalLimitInWords = limits.frame.words + 1;
    return options;
  }
};

RpcLink::RpcLink(kj::Own<kj::AsyncIoStream> stream, capnp::Capability::Client bootstrap,
                 LinkLimits limits)
    : impl(kj::heap<Impl>(kj::mv(stream), kj::mv(bootstrap), limits)) {}

RpcLink::~RpcLink() noexcept(false) {}

kj::Promise<void> RpcLink::onDisconnect() { return impl->network.onDisconnect(); }

}  // namespace ww
