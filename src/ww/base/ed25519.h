#pragma once
// Ed25519 keys and signatures (RFC 8032), on OpenSSL's libcrypto.

#include <kj/array.h>
#include <kj/common.h>

namespace ww {

constexpr size_t ED25519_KEY_BYTES = 32;
constexpr size_t ED25519_SIGNATURE_BYTES = 64;

struct PublicKey {
  kj::byte bytes[ED25519_KEY_BYTES];
};

struct Signature {
  kj::byte bytes[ED25519_SIGNATURE_BYTES];
};

// A seed, from which key pair and signatures follow. Overwritten when it goes.
class SecretKey {
 public:
  // From the operating system's randomness.
  static SecretKey generate();

  explicit SecretKey(kj::ArrayPtr<const kj::byte> seed);  // ED25519_KEY_BYTES
  SecretKey(SecretKey&& other);
  ~SecretKey() noexcept(false);
  KJ_DISALLOW_COPY(SecretKey);

  kj::ArrayPtr<const kj::byte> getSeed() const { return seed; }
  PublicKey getPublicKey() const;
  Signature sign(kj::ArrayPtr<const kj::byte> message) const;

 private:
  kj::byte seed[ED25519_KEY_BYTES];
};

bool verify(const PublicKey& key, kj::ArrayPtr<const kj::byte> message, const Signature& signature);

}  // namespace ww
