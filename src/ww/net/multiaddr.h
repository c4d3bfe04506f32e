#pragma once
// A multiaddr: a path of protocols, such as /ip4/192.0.2.1/tcp/2020. Kept in binary form; made only
// from bytes that were checked, so that one that exists is well formed.

#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/string.h>
#include <stdint.h>
#include <ww/net/peer-id.h>

namespace ww {

class Multiaddr {
 public:
  static constexpr size_t MAX_BYTES = 1024;

  // The address, or what is wrong with the bytes and where, for a sentence that names them.
  static kj::OneOf<Multiaddr, kj::String> parse(kj::ArrayPtr<const kj::byte> bytes);

  // Of a LoopbackNetwork: /memory/N.
  static Multiaddr memory(uint64_t number);

  kj::ArrayPtr<const kj::byte> asBytes() const { return bytes; }
  kj::String toText() const;

  // With who is there at its end, which one at a relay has already.
  kj::String toText(const PeerId& who) const;
  Multiaddr clone() const { return Multiaddr(kj::heapArray<kj::byte>(bytes)); }

  // N of a /memory/N.
  kj::Maybe<uint64_t> findMemory() const;

  // ID of one that ends in /p2p/ID.
  kj::Maybe<PeerId> findPeer() const;

  // What keeps libp2p here from listening on it, or from dialling it, as far as the address itself
  // tells; for a person. There are TCP, QUIC and relays.
  enum class Use { LISTEN, DIAL };
  kj::Maybe<kj::StringPtr> findObstacle(Use use) const;

  // Does it name, literally, a place that a stranger's code has no business with: loopback,
  // private, link-local, multicast, unspecified or otherwise not on the public internet? Then
  // which, for a person. Names are not resolved here.
  kj::Maybe<kj::StringPtr> findPrivateRange() const;

 private:
  explicit Multiaddr(kj::Array<kj::byte> bytes): bytes(kj::mv(bytes)) {}
  kj::Array<kj::byte> bytes;
};

}  // namespace ww
