#include <ww/net/identity.h>

#include <string.h>
#include <ww/base/error.h>

namespace ww {
namespace {

// Type = Ed25519 (field 1), Data of 64 bytes (field 2).
constexpr kj::byte HEAD[] = {0x08, 0x01, 0x12, 2 * ED25519_KEY_BYTES};
constexpr size_t ENCODED_BYTES = sizeof(HEAD) + 2 * ED25519_KEY_BYTES;

}  // namespace

Identity::Identity(SecretKey secret): key(kj::mv(secret)), peerId(key.getPublicKey()) {}

kj::Array<kj::byte> Identity::encode() const {
  auto bytes = kj::heapArray<kj::byte>(ENCODED_BYTES);
  auto publicKey = key.getPublicKey();
  memcpy(bytes.begin(), HEAD, sizeof(HEAD));
  memcpy(bytes.begin() + sizeof(HEAD), key.getSeed().begin(), ED25519_KEY_BYTES);
  memcpy(bytes.begin() + sizeof(HEAD) + ED25519_KEY_BYTES, publicKey.bytes, ED25519_KEY_BYTES);
  return bytes;
}

Identity Identity::decode(kj::ArrayPtr<const kj::byte> bytes) {
  if (bytes.size() != ENCODED_BYTES || memcmp(bytes.begin(), HEAD, sizeof(HEAD)) != 0) {
    kj::throwFatalException(badInput("not an Ed25519 key as libp2p writes it"));
  }
  auto seed = bytes.slice(sizeof(HEAD), sizeof(HEAD) + ED25519_KEY_BYTES);
  Identity identity{SecretKey(seed)};
  auto publicKey = identity.key.getPublicKey();
  if (memcmp(bytes.begin() + sizeof(HEAD) + ED25519_KEY_BYTES, publicKey.bytes,
             ED25519_KEY_BYTES) != 0) {
    kj::throwFatalException(badInput("its public half does not fit its secret half"));
  }
  return identity;
}

}  // namespace ww
