#pragma once
// What a signer signs during graft(), byte by byte, and what it answers. The node and its clients
// share this; capnp/stem.capnp says the same in words, with an example.

#include <kj/array.h>
#include <kj/string.h>
#include <stdint.h>
#include <ww/base/ed25519.h>

namespace ww {

constexpr kj::StringPtr GRAFT_DOMAIN_PREFIX = "ww.membrane.graft.v1/"_kj;

// A public key, then a signature by it.
constexpr size_t GRAFT_ANSWER_BYTES = ED25519_KEY_BYTES + ED25519_SIGNATURE_BYTES;

// What a signature is good for: a graft at the node of this peer id (base58), in this epoch.
kj::String graftDomain(kj::StringPtr peerId, uint64_t epochSeq);

// What is signed: the domain, a zero byte, the nonce with its greatest byte first. No two pairs of
// a domain without zero bytes and a nonce have the same.
kj::Array<kj::byte> graftMessage(kj::StringPtr domain, uint64_t nonce);

}  // namespace ww
