#pragma once
// The RPC connection to the host: the one place of the SDK that chooses a network for it.

#include <capnp/rpc-twoparty.h>
#include <ww/link/channel-stream.h>
#include <ww/link/two-party-network.h>
#include "ww/event-port.h"

namespace ww {

class HostLink {
 public:
  explicit HostLink(EventPort& port);
  KJ_DISALLOW_COPY_AND_MOVE(HostLink);

  // The capability that the host offers.
  capnp::Capability::Client bootstrap();

  // Resolves when the connection is over.
  kj::Promise<void> onDisconnect() { return network.onDisconnect(); }

 private:
#ifdef WW_STOCK_NETWORK
  ChannelStream stream;
  capnp::TwoPartyVatNetwork network;
#else
  TwoPartyNetwork network;
#endif
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> system;
};

}  // namespace ww
