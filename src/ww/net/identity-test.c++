#include <ww/net/identity.h>

#include <kj/encoding.h>
#include <kj/test.h>

namespace ww {
namespace {

// The test vector of libp2p's peer id specification, an Ed25519 private key.
constexpr kj::StringPtr ENCODED =
    "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"
    "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"_kj;
constexpr kj::StringPtr PEER_ID =
    "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"_kj;

KJ_TEST("libp2p's encoding of a key, and the peer id that follows from it") {
  auto identity = Identity::decode(kj::decodeHex(ENCODED));
  KJ_EXPECT(kj::encodeHex(identity.encode()) == ENCODED);
  KJ_EXPECT(kj::encodeHex(identity.getPeerId().asBytes()) == PEER_ID);
  KJ_EXPECT(identity.getPeerId().toText().startsWith("12D3KooW"));
  KJ_EXPECT(identity.getPeerId().toText().size() == 52);
}

KJ_TEST("a damaged key is refused, whichever byte it is") {
  auto good = kj::decodeHex(ENCODED);
  for (size_t i = 0; i < good.size(); i++) {
    auto bad = kj::heapArray<kj::byte>(good);
    bad[i] ^= 1;
    KJ_EXPECT(kj::runCatchingExceptions([&]() { Identity::decode(bad); }) != nullptr, i);
    KJ_EXPECT(kj::runCatchingExceptions([&]() { Identity::decode(good.slice(0, i)); }) != nullptr);
  }
}

KJ_TEST("peer ids: parsed, compared, shown") {
  auto bytes = kj::decodeHex(PEER_ID);
  auto id = KJ_ASSERT_NONNULL(PeerId::parse(bytes));
  KJ_EXPECT(id == KJ_ASSERT_NONNULL(PeerId::parse(id.clone().asBytes())));
  KJ_EXPECT(!(id == Identity::generate().getPeerId()));
  auto text = KJ_ASSERT_NONNULL(PeerId::parseText(id.toText()));
  KJ_EXPECT(text == id);
  KJ_EXPECT(PeerId(KJ_ASSERT_NONNULL(id.findKey())) == id);
  for (auto bad: {"", "12D3KooW", "no peer id", "QmNotBase58!"}) {
    KJ_EXPECT(PeerId::parseText(bad) == nullptr, bad);
  }
  // Of an RSA key: the sha2-256 of it.
  auto rsa = kj::str("1220", PEER_ID.slice(12));
  KJ_EXPECT(KJ_ASSERT_NONNULL(PeerId::parse(kj::decodeHex(rsa))).toText().startsWith("Qm"));
}

KJ_TEST("bytes that are no peer id") {
  auto longest = kj::heapArray<kj::byte>(45);
  for (auto& byte: longest) byte = 0;
  longest[1] = 43;
  KJ_EXPECT(PeerId::parse(longest) == nullptr);
  for (auto hex: {"", "00", "0000", "0024", "1220", "0002ff", "002408011220", "0201ff", "1201ff",
                  "122100000000000000000000000000000000000000000000000000000000000000000000"}) {
    KJ_EXPECT(PeerId::parse(kj::decodeHex(kj::StringPtr(hex))) == nullptr, hex);
  }
}

}  // namespace
}  // namespace ww
