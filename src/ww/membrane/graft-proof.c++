#include <ww/membrane/graft-proof.h>

#include <string.h>

namespace ww {

kj::String graftDomain(kj::StringPtr peerId, uint64_t epochSeq) {
  return kj::str(GRAFT_DOMAIN_PREFIX, peerId, '/', epochSeq);
}

kj::Array<kj::byte> graftMessage(kj::StringPtr domain, uint64_t nonce) {
  auto message = kj::heapArray<kj::byte>(domain.size() + 1 + sizeof(nonce));
  memcpy(message.begin(), domain.begin(), domain.size());
  message[domain.size()] = 0;
  for (size_t i = 1; i <= sizeof(nonce); i++, nonce >>= 8) {
    message[message.size() - i] = static_cast<kj::byte>(nonce);
  }
  return message;
}

}  // namespace ww
