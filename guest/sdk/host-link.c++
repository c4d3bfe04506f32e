#include "ww/host-link.h"

namespace ww {

HostLink::HostLink(EventPort& port)
    : stream(port), messages(stream, capnp::IncomingRpcMessage::getShortLivedCallback()),
      network(messages, capnp::rpc::twoparty::Side::CLIENT, capnp::ReaderOptions(), port.timer()),
      system(capnp::makeRpcClient(network)) {}

capnp::Capability::Client HostLink::bootstrap() {
  capnp::word scratch[4]{};
  capnp::MallocMessageBuilder message(scratch);
  auto vat = message.getRoot<capnp::rpc::twoparty::VatId>();
  vat.setSide(capnp::rpc::twoparty::Side::SERVER);
  return system.bootstrap(vat);
}

}  // namespace ww
