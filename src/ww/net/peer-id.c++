#include <ww/net/peer-id.h>

#include <string.h>
#include <ww/base/base58.h>

namespace ww {
namespace {

// A multihash: code, length, digest. The codes that peer ids use fit into a byte each.
constexpr kj::byte IDENTITY = 0x00;
constexpr kj::byte SHA2_256 = 0x12;
constexpr size_t SHA2_256_BYTES = 32;

// libp2p's PublicKey message: Type = Ed25519 (field 1), Data of 32 bytes (field 2).
constexpr kj::byte KEY_HEAD[] = {0x08, 0x01, 0x12, ED25519_KEY_BYTES};

}  // namespace

PeerId::PeerId(const PublicKey& key)
    : bytes(kj::heapArray<kj::byte>(2 + sizeof(KEY_HEAD) + sizeof(key.bytes))) {
  bytes[0] = IDENTITY;
  bytes[1] = sizeof(KEY_HEAD) + sizeof(key.bytes);
  memcpy(bytes.begin() + 2, KEY_HEAD, sizeof(KEY_HEAD));
  memcpy(bytes.begin() + 2 + sizeof(KEY_HEAD), key.bytes, sizeof(key.bytes));
}

kj::Maybe<PeerId> PeerId::parse(kj::ArrayPtr<const kj::byte> bytes) {
  if (bytes.size() < 3 || bytes.size() > MAX_BYTES || bytes[1] != bytes.size() - 2) return nullptr;
  bool known = bytes[0] == IDENTITY || (bytes[0] == SHA2_256 && bytes[1] == SHA2_256_BYTES);
  if (!known) return nullptr;
  return PeerId(kj::heapArray<kj::byte>(bytes));
}

kj::Maybe<PeerId> PeerId::parseText(kj::StringPtr text) {
  KJ_IF_MAYBE(bytes, decodeBase58(text)) return parse(*bytes);
  return nullptr;
}

kj::Maybe<PublicKey> PeerId::findKey() const {
  PublicKey key;
  auto head = sizeof(KEY_HEAD) + 2;
  if (bytes[0] != IDENTITY || bytes.size() != head + sizeof(key.bytes)) return nullptr;
  if (memcmp(bytes.begin() + 2, KEY_HEAD, sizeof(KEY_HEAD)) != 0) return nullptr;
  memcpy(key.bytes, bytes.begin() + head, sizeof(key.bytes));
  return key;
}

kj::String PeerId::toText() const { return encodeBase58(bytes); }

}  // namespace ww
