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

// An encoded point: y, little endian, and the sign of x in the topmost bit.
constexpr kj::byte Y_MASK = 0x7f;

// The y of all points whose order divides 8, with their non-canonical spellings. Either sign of x.
constexpr kj::byte SMALL_ORDER[][ED25519_KEY_BYTES] = {
    {0},  // order 4
    {1},  // the neutral element
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
    0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
    0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

bool hasSmallOrder(const kj::byte* point) {
  bool found = false;
  for (auto& y: SMALL_ORDER) {
    kj::byte differs = (point[ED25519_KEY_BYTES - 1] & Y_MASK) ^ y[ED25519_KEY_BYTES - 1];
    for (size_t i = 0; i + 1 < ED25519_KEY_BYTES; i++) differs |= point[i] ^ y[i];
    found |= differs == 0;
  }
  return found;
}

// Whether y is below 2^255 - 19.
bool isCanonical(const kj::byte* point) {
  kj::byte differs = (point[ED25519_KEY_BYTES - 1] & Y_MASK) ^ Y_MASK;
  for (size_t i = 1; i + 1 < ED25519_KEY_BYTES; i++) differs |= point[i] ^ 0xff;
  return (differs != 0) | (point[0] < 0xed);
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

bool equalInConstantTime(const PublicKey& left, const PublicKey& right) {
  return CRYPTO_memcmp(left.bytes, right.bytes, sizeof(left.bytes)) == 0;
}

bool isStrictKey(const PublicKey& key) {
  bool strict = isCanonical(key.bytes);
  strict &= !hasSmallOrder(key.bytes);
  return strict;
}

bool verify(const PublicKey& publicKey, kj::ArrayPtr<const kj::byte> message,
            const Signature& signature) {
  Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, publicKey.bytes,
                                      sizeof(publicKey.bytes)));
  Digest digest(EVP_MD_CTX_new());
  KJ_ASSERT(EVP_DigestVerifyInit(digest.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  bool holds = EVP_DigestVerify(digest.get(), signature.bytes, sizeof(signature.bytes),
                                message.begin(), message.size()) == 1;
  holds &= isStrictKey(publicKey);
  holds &= !hasSmallOrder(signature.bytes);  // R comes first
  return holds;
}

}  // namespace ww
