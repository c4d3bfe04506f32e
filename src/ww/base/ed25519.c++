#include <ww/base/ed25519.h>

#include <kj/debug.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

namespace ww {
namespace {

template <typename T, void (*release)(T*)>
class Handle {
 public:
  explicit Handle(T* raw): raw(raw) { KJ_ASSERT(raw != nullptr, "OpenSSL is out of memory"); }
  ~Handle() { release(raw); }
  KJ_DISALLOW_COPY_AND_MOVE(Handle);
  T* get() const { return raw; }

 private:
  T* raw;
};
using Key = Handle<EVP_PKEY, EVP_PKEY_free>;
using Digest = Handle<EVP_MD_CTX, EVP_MD_CTX_free>;

EVP_PKEY* rawSecret(kj::ArrayPtr<const kj::byte> seed) {
  return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.begin(), seed.size());
}

}  // namespace

SecretKey SecretKey::generate() {
  kj::byte seed[ED25519_KEY_BYTES];
  KJ_DEFER(OPENSSL_cleanse(seed, sizeof(seed)));
  KJ_ASSERT(RAND_priv_bytes(seed, sizeof(seed)) == 1, "the system has no randomness to give");
  return SecretKey(seed);
}

SecretKey::SecretKey(kj::ArrayPtr<const kj::byte> from) {
  KJ_REQUIRE(from.size() == sizeof(seed));
  memcpy(seed, from.begin(), sizeof(seed));
}

SecretKey::SecretKey(SecretKey&& other): SecretKey(other.seed) {
  OPENSSL_cleanse(other.seed, sizeof(other.seed));
}

SecretKey::~SecretKey() noexcept(false) { OPENSSL_cleanse(seed, sizeof(seed)); }

PublicKey SecretKey::getPublicKey() const {
  Key key(rawSecret(seed));
  PublicKey result;
  size_t size = sizeof(result.bytes);
  KJ_ASSERT(EVP_PKEY_get_raw_public_key(key.get(), result.bytes, &size) == 1);
  return result;
}

Signature SecretKey::sign(kj::ArrayPtr<const kj::byte> message) const {
  Key key(rawSecret(seed));
  Digest digest(EVP_MD_CTX_new());
  Signature result;
  size_t size = sizeof(result.bytes);
  KJ_ASSERT(EVP_DigestSignInit(digest.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  KJ_ASSERT(EVP_DigestSign(digest.get(), result.bytes, &size, message.begin(), message.size()) ==
            1);
  return result;
}

bool verify(const PublicKey& publicKey, kj::ArrayPtr<const kj::byte> message,
            const Signature& signature) {
  Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, publicKey.bytes,
                                      sizeof(publicKey.bytes)));
  Digest digest(EVP_MD_CTX_new());
  KJ_ASSERT(EVP_DigestVerifyInit(digest.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  return EVP_DigestVerify(digest.get(), signature.bytes, sizeof(signature.bytes), message.begin(),
                          message.size()) == 1;
}

}  // namespace ww
