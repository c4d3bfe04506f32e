#include "ww/host-link.h"

#include "ww/host-channel.h"

namespace ww {

HostLink::HostLink(EventPort& port)
    : network(kj::heap<HostChannel>(port), capnp::rpc::twoparty::Side::CLIENT),
      system(capnp::makeRpcClient(network)) {}

capnp::Capability::Client HostLink::bootstrap() {
  capnp::word scratch[4]{};
  capnp::MallocMessageBuilder message(scratch);
  auto vat = message.getRoot<capnp::rpc::twoparty::VatId>();
  vat.setSide(capnp::rpc::twoparty::Side::SERVER);
  return system.bootstrap(vat);
}

}  // namespace ww
