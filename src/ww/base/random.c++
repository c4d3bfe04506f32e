#include <ww/base/random.h>

#include <kj/debug.h>
#include <openssl/rand.h>

namespace ww {

uint64_t randomNonce() {
  uint64_t nonce = 0;
  KJ_ASSERT(RAND_bytes(reinterpret_cast<unsigned char*>(&nonce), sizeof(nonce)) == 1,
            "the system has no randomness to give");
  return nonce;
}

}  // namespace ww
