#include <ww/base/ed25519.h>

#include <kj/encoding.h>
#include <kj/test.h>
#include <string.h>

namespace ww {
namespace {

struct Vector {
  kj::StringPtr seed, key, message, signature;
};

// RFC 8032, section 7.1, tests 1 to 3.
const Vector VECTORS[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

template <typename T>
T fromHex(kj::StringPtr hex) {
  T result;
  auto bytes = kj::decodeHex(hex);
  KJ_ASSERT(bytes.size() == sizeof(result.bytes));
  memcpy(result.bytes, bytes.begin(), bytes.size());
  return result;
}

KJ_TEST("keys and signatures are those of RFC 8032") {
  for (auto& v: VECTORS) {
    SecretKey key(kj::decodeHex(v.seed));
    auto message = kj::decodeHex(v.message);
    auto publicKey = key.getPublicKey();
    auto signature = key.sign(message);
    KJ_EXPECT(kj::encodeHex(publicKey.bytes) == v.key);
    KJ_EXPECT(kj::encodeHex(signature.bytes) == v.signature);
    KJ_EXPECT(verify(fromHex<PublicKey>(v.key), message, fromHex<Signature>(v.signature)));
  }
}

KJ_TEST("a bit more or less and it is no signature") {
  auto key = SecretKey::generate();
  auto publicKey = key.getPublicKey();
  kj::byte message[] = {1, 2, 3};
  auto signature = key.sign(message);
  KJ_ASSERT(verify(publicKey, message, signature));
  for (size_t i = 0; i < ED25519_SIGNATURE_BYTES; i++) {
    auto other = signature;
    other.bytes[i] ^= 1;
    KJ_EXPECT(!verify(publicKey, message, other), i);
  }
  for (size_t i = 0; i < ED25519_KEY_BYTES; i++) {
    auto other = publicKey;
    other.bytes[i] ^= 0x10;
    KJ_EXPECT(!verify(other, message, signature), i);
  }
  KJ_EXPECT(!verify(publicKey, kj::arrayPtr(message, 2), signature));
  KJ_EXPECT(!verify(SecretKey::generate().getPublicKey(), message, signature));
}

KJ_TEST("bytes that are no point of the curve verify nothing") {
  PublicKey none;
  memset(none.bytes, 0xff, sizeof(none.bytes));
  KJ_EXPECT(!verify(none, nullptr, SecretKey::generate().sign(nullptr)));
}

// The group's order, little endian.
const kj::StringPtr ORDER = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

KJ_TEST("S + L is no other signature of the same") {
  auto key = SecretKey::generate();
  auto order = kj::decodeHex(ORDER);
  for (kj::byte i = 0; i < 16; i++) {
    auto message = kj::arrayPtr(&i, 1);
    auto signature = key.sign(message);
    kj::uint carry = 0;
    for (size_t at = 0; at < order.size(); at++) {
      carry += signature.bytes[32 + at] + order[at];
      signature.bytes[32 + at] = carry;
      carry >>= 8;
    }
    KJ_ASSERT(carry == 0);
    KJ_EXPECT(!verify(key.getPublicKey(), message, signature));
  }
}

// Each y of a point of small order, and those at and above 2^255 - 19 that mean the same.
const kj::StringPtr SMALL_ORDER[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};

KJ_TEST("no key of small order has a signature, whatever R it comes with") {
  for (auto y: SMALL_ORDER) {
    for (kj::byte sign: {0x00, 0x80}) {
      auto key = fromHex<PublicKey>(y);
      key.bytes[31] |= sign;
      KJ_EXPECT(!isStrictKey(key));
      // With S = 0 and R the key's inverse or the neutral element, lax verifiers take one message
      // in eight, or any at all.
      for (auto r: SMALL_ORDER) {
        for (kj::byte message = 0; message < 32; message++) {
          Signature signature = {};
          memcpy(signature.bytes, kj::decodeHex(r).begin(), 32);
          signature.bytes[31] |= message & 1 ? 0x80 : 0;
          KJ_EXPECT(!verify(key, kj::arrayPtr(&message, 1), signature), y, sign, r, message);
        }
      }
    }
  }
}

KJ_TEST("an R of small order is refused with an honest key, though the equation holds") {
  // r = 0: R is the neutral element, and S = H(R, A, M) a, made with a scalar outside of here.
  auto key = fromHex<PublicKey>(
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  auto signature = fromHex<Signature>(
      "0100000000000000000000000000000000000000000000000000000000000000"
      "c878682a0d295507784bbdd423217f639ee6bae1b01052efa28a9b48e5a3c80b");
  KJ_EXPECT(!verify(key, kj::StringPtr("ww").asBytes(), signature));
}

KJ_TEST("a key's y at or above 2^255 - 19 is refused, with either sign") {
  // Nobody knows a secret for most of these, to sign with.
  for (kj::uint low = 0; low <= 0xff; low++) {
    PublicKey key;
    memset(key.bytes, 0xff, sizeof(key.bytes));
    key.bytes[0] = low;
    for (kj::byte top: {0x7f, 0xff}) {
      key.bytes[31] = top;
      KJ_EXPECT(isStrictKey(key) == (low < 0xec), low, top);  // 0xec: of order 2
    }
  }
  for (size_t i = 1; i < ED25519_KEY_BYTES; i++) {
    PublicKey key;
    memset(key.bytes, 0xff, sizeof(key.bytes));
    key.bytes[i] ^= 0x01;
    KJ_EXPECT(isStrictKey(key), i);
  }
}

KJ_TEST("keys are equal in all their bytes") {
  auto key = SecretKey::generate().getPublicKey();
  KJ_EXPECT(equalInConstantTime(key, key));
  for (size_t i = 0; i < ED25519_KEY_BYTES; i++) {
    auto other = key;
    other.bytes[i] ^= 0x80;
    KJ_EXPECT(!equalInConstantTime(key, other), i);
  }
}

KJ_TEST("every key that is generated is another, and comes back from its seed") {
  auto one = SecretKey::generate(), two = SecretKey::generate();
  KJ_EXPECT(one.getSeed() != two.getSeed());
  SecretKey again(one.getSeed());
  KJ_EXPECT(kj::encodeHex(again.getPublicKey().bytes) == kj::encodeHex(one.getPublicKey().bytes));
}

}  // namespace
}  // namespace ww
