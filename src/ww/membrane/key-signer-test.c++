#include <ww/membrane/key-signer.h>

#include <kj/encoding.h>
#include <kj/filesystem.h>
#include <kj/test.h>
#include <string.h>
#include <ww/membrane/graft-proof.h>

namespace ww {
namespace {

// The example in capnp/stem.capnp.
constexpr kj::StringPtr SEED =
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"_kj;
constexpr kj::StringPtr NODE = "12D3KooWDwTirQce1RRKnasT5fPVFgzXCy6SiRgSwrwPGLC7zE91"_kj;
constexpr uint64_t EPOCH = 42, NONCE = 0x0123456789abcdef;
constexpr kj::StringPtr SIG[] = {
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"_kj,
    "9cafe7a2537f8b1cb9ea790342c1c421d423edeb7ef86f6b7a1d38f2a6060fd4"_kj,
    "b372f781283d7cf76796efafbc81f6d1bbac32b93a06dfb6e2d2d8730daabb08"_kj};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  stem::Signer::Client signer = makeSigner(SecretKey(kj::decodeHex(SEED)), NODE);

  kj::Array<kj::byte> sign(kj::StringPtr domain, uint64_t nonce) {
    auto request = signer.signRequest();
    request.setDomain(domain);
    request.setNonce(nonce);
    return kj::heapArray<kj::byte>(request.send().wait(waitScope).getSig());
  }
};

KJ_TEST("the example in the schema is what is signed") {
  Fixture f;
  auto sig = f.sign(graftDomain(NODE, EPOCH), NONCE);
  KJ_EXPECT(kj::encodeHex(sig) == kj::str(SIG[0], SIG[1], SIG[2]));
}

KJ_TEST("the example in the schema is the one that this test has") {
  auto disk = kj::newDiskFilesystem();
  auto schema = disk->getRoot().openFile(disk->getCurrentPath().evalNative(WW_STEM_SCHEMA))
      ->readAllText();
  auto expectLine = [&](kj::StringPtr name, kj::StringPtr value) {
    auto line = kj::str("  #   ", name, value, '\n');
    KJ_EXPECT(strstr(schema.cStr(), line.cStr()) != nullptr, line);
  };
  expectLine("seed      ", SEED);
  expectLine("node      ", NODE);
  expectLine("epoch     ", kj::str(EPOCH));
  expectLine("nonce     ", kj::str('0', kj::hex(NONCE)));
  expectLine("sig       ", SIG[0]);
  expectLine("          ", SIG[1]);
  expectLine("          ", SIG[2]);
}

KJ_TEST("the domain, a zero byte, and the nonce with its greatest byte first") {
  KJ_EXPECT(kj::encodeHex(graftMessage("ab", 0x0102030405060708)) == "6162000102030405060708");
  KJ_EXPECT(graftDomain("Qm", kj::maxValue) == "ww.membrane.graft.v1/Qm/18446744073709551615");
}

KJ_TEST("any epoch and any nonce of that node") {
  Fixture f;
  uint64_t numbers[] = {0, 1, 42, kj::maxValue};
  for (auto seq: numbers) {
    for (auto nonce: numbers) {
      KJ_EXPECT(f.sign(graftDomain(NODE, seq), nonce).size() == GRAFT_ANSWER_BYTES);
    }
  }
}

KJ_TEST("no other domain") {
  Fixture f;
  auto good = graftDomain(NODE, 4);
  auto prefix = kj::str(GRAFT_DOMAIN_PREFIX, NODE, '/');
  kj::String zeroInside = kj::heapString(good);
  zeroInside[good.size() - 1] = 0;
  kj::String domains[] = {
      kj::str(""), kj::str(GRAFT_DOMAIN_PREFIX), kj::str(GRAFT_DOMAIN_PREFIX, NODE),
      kj::str(prefix), kj::str(prefix, "042"), kj::str(prefix, "00"), kj::str(prefix, "+4"),
      kj::str(prefix, "-4"), kj::str(prefix, " 4"), kj::str(prefix, "4 "), kj::str(prefix, "0x4"),
      kj::str(prefix, "4/5"), kj::str(prefix, "4e0"), kj::str(prefix, "18446744073709551616"),
      kj::str(prefix, "/4"), kj::str(' ', good), kj::mv(zeroInside),
      kj::str("ww.membrane.graft.v2/", NODE, "/4"), kj::str("WW.membrane.graft.v1/", NODE, "/4"),
      graftDomain("12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5", 4),
      graftDomain(NODE.slice(1), 4), graftDomain(kj::str(NODE, '1'), 4)};
  for (auto& domain: domains) {
    KJ_EXPECT_THROW_MESSAGE("denied: this signer signs only", f.sign(domain, 7));
  }
}

}  // namespace
}  // namespace ww
