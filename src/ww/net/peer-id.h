#pragma once
// A libp2p peer id: a multihash of a public key, in binary form. For Ed25519 the hash is the key
// itself (identity); for RSA it is sha2-256.

#include <kj/array.h>
#include <kj/string.h>
#include <ww/base/ed25519.h>

namespace ww {

class PeerId {
 public:
  // The longest that is taken: an identity hash of a key of 42 bytes.
  static constexpr size_t MAX_BYTES = 44;

  explicit PeerId(const PublicKey& key);

  // Nothing for bytes that are no peer id.
  static kj::Maybe<PeerId> parse(kj::ArrayPtr<const kj::byte> bytes);

  // The same of base58 text.
  static kj::Maybe<PeerId> parseText(kj::StringPtr text);

  // The key itself, of an Ed25519 peer id.
  kj::Maybe<PublicKey> findKey() const;

  kj::ArrayPtr<const kj::byte> asBytes() const { return bytes; }
  kj::String toText() const;  // base58
  bool operator==(const PeerId& other) const { return asBytes() == other.asBytes(); }
  PeerId clone() const { return PeerId(kj::heapArray<kj::byte>(bytes)); }

 private:
  explicit PeerId(kj::Array<kj::byte> bytes): bytes(kj::mv(bytes)) {}
  kj::Array<kj::byte> bytes;
};

}  // namespace ww
