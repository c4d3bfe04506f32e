#pragma once
// Peer ids and multiaddrs as people write them, from and to what goes over the wire.

#include <kj/array.h>
#include <kj/string.h>

namespace ww {

// Hexadecimal where the bytes are none.
kj::String peerIdText(kj::ArrayPtr<const kj::byte> bytes);
kj::String multiaddrText(kj::ArrayPtr<const kj::byte> bytes);

// Throws, saying what is wrong with it.
kj::Array<kj::byte> parsePeerId(kj::StringPtr text);

// An address that says who is there.
struct PeerAddr {
  kj::Array<kj::byte> peerId;
  kj::Array<kj::byte> addr;
};

// Throws, saying what is wrong with it; also where it does not end in /p2p/PEERID.
PeerAddr parsePeerAddr(kj::StringPtr text);

}  // namespace ww
