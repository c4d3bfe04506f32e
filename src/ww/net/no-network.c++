#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/net/swarm.h>

namespace ww {

kj::Promise<void> NoNetwork::connect(const PeerId& peer, kj::ArrayPtr<const Multiaddr>, DialScope) {
  return badInput(kj::str("cannot connect to ", peer.toText(), ": this node has no network"));
}

kj::Promise<kj::Own<kj::AsyncIoStream>> NoNetwork::open(const PeerId& peer, kj::StringPtr) {
  return KJ_EXCEPTION(DISCONNECTED, "not connected: this node has no network", peer.toText());
}

kj::Promise<kj::Duration> NoNetwork::ping(const PeerId& peer) {
  return KJ_EXCEPTION(DISCONNECTED, "not connected: this node has no network", peer.toText());
}

}  // namespace ww
