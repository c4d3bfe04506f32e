#include <ww/base/error.h>
#include <ww/net/swarm.h>

namespace ww {

kj::Promise<void> NoNetwork::connect(const PeerId& peer, kj::ArrayPtr<const Multiaddr>) {
  return badInput(kj::str("cannot connect to ", peer.toText(), ": this node has no network"));
}

}  // namespace ww
