#include "ww/host-link.h"

#include "ww/host-channel.h"

namespace ww {

#ifndef WW_STOCK_NETWORK
// Of what the host says, however short, a guest reads as much as of the largest message.
static NetworkLimits hostLimits() {
  NetworkLimits limits;
  limits.frame.readings = kj::maxValue;
  return limits;
}
#endif

HostLink::HostLink(EventPort& port)
#ifdef WW_STOCK_NETWORK
    : stream(kj::heap<HostChannel>(port)),
      network(stream, capnp::rpc::twoparty::Side::CLIENT),
#else
    : network(kj::heap<HostChannel>(port), capnp::rpc::twoparty::Side::CLIENT, hostLimits()),
#endif
      system(capnp::makeRpcClient(network)) {}

capnp::Capability::Client HostLink::bootstrap() {
  capnp::word scratch[4]{};
  capnp::MallocMessageBuilder message(scratch);
  auto vat = message.getRoot<capnp::rpc::twoparty::VatId>();
  vat.setSide(capnp::rpc::twoparty::Side::SERVER);
  return system.bootstrap(vat);
}

}  // namespace ww
