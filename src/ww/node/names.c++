#include <ww/node/names.h>

#include <kj/encoding.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/net/libp2p-swarm.h>

namespace ww {

kj::String peerIdText(kj::ArrayPtr<const kj::byte> bytes) {
  KJ_IF_MAYBE(id, PeerId::parse(bytes)) return id->toText();
  return kj::encodeHex(bytes);
}

kj::String multiaddrText(kj::ArrayPtr<const kj::byte> bytes) {
  auto parsed = Multiaddr::parse(bytes);
  KJ_IF_MAYBE(addr, parsed.tryGet<Multiaddr>()) return addr->toText();
  return kj::encodeHex(bytes);
}

kj::Array<kj::byte> parsePeerId(kj::StringPtr text) {
  KJ_IF_MAYBE(id, PeerId::parseText(text)) return kj::heapArray(id->asBytes());
  kj::throwFatalException(badInput(kj::str(shorten(text),
                                           ": no peer id, as `ww peer ls` lists them")));
}

PeerAddr parsePeerAddr(kj::StringPtr text) {
  auto parsed = parseMultiaddrText(text);
  KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) {
    kj::throwFatalException(badInput(kj::str(shorten(text), ": no multiaddr: ", *problem,
        "; one looks like /ip4/IP/tcp/PORT/p2p/PEERID")));
  }
  auto& addr = parsed.get<Multiaddr>();
  KJ_IF_MAYBE(obstacle, addr.findObstacle(Multiaddr::Use::DIAL)) {
    kj::throwFatalException(badInput(kj::str(shorten(text), ": ", *obstacle)));
  }
  KJ_IF_MAYBE(peer, addr.findPeer()) {
    return {kj::heapArray(peer->asBytes()), kj::heapArray(addr.asBytes())};
  }
  kj::throwFatalException(badInput(kj::str(shorten(text), ": it must end in /p2p/PEERID")));
}

}  // namespace ww
