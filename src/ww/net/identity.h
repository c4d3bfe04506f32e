#pragma once
// A node's identity: its Ed25519 key, and the peer id that follows from it. Encoded as libp2p does,
// so that other implementations read the file.

#include <ww/base/ed25519.h>
#include <ww/net/peer-id.h>

namespace ww {

class Identity {
 public:
  static Identity generate() { return Identity(SecretKey::generate()); }
  explicit Identity(SecretKey key);

  // libp2p's PrivateKey message: the type, then the seed and the public key.
  kj::Array<kj::byte> encode() const;

  // Throws a reason without a place for bytes that are no such key, or whose halves do not fit.
  static Identity decode(kj::ArrayPtr<const kj::byte> bytes);

  const SecretKey& getKey() const { return key; }
  const PeerId& getPeerId() const { return peerId; }

 private:
  SecretKey key;
  PeerId peerId;
};

}  // namespace ww
