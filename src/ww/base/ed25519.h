#pragma once
// Ed25519 keys and signatures (RFC 8032), verified strictly, on OpenSSL's libcrypto.

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

// Takes the same time wherever two keys differ.
bool equalInConstantTime(const PublicKey& left, const PublicKey& right);

// Whether verify() may take a signature by `key`: it is spelled in the one way, and not of small
// order. It may still be no point of the curve. Without a branch on its bytes.
bool isStrictKey(const PublicKey& key);

// Stricter than RFC 8032 asks, so that a message and a key have no signatures but those that the
// key's holder made. Refused, besides what does not verify:
// - an S that is not below the group's order (S + L would verify as well);
// - a key or an R of small order, in any encoding: such a key has signatures that fit any message;
// - a key whose y is not below 2^255 - 19: another spelling of some key.
// All checks are made each time. Only OpenSSL's own end early, over bytes that are no signature for
// anybody: an S too great, and a key that is no point.
bool verify(const PublicKey& key, kj::ArrayPtr<const kj::byte> message, const Signature& signature);

}  // namespace ww
