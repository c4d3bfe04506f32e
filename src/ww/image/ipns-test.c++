// Which records of IPNS are believed, and where they lead.
#include <ww/image/ipns.h>

#include <kj/test.h>
#include <string.h>
#include <ww/base/base58.h>
#include <ww/image/image-ref.h>
#include <ww/image/ipns-data.h>
#include <ww/image/ipns-record-test.h>

namespace ww {
namespace {

const kj::Date NOW = kj::UNIX_EPOCH + 20'000 * kj::DAYS;  // in 2024

bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

kj::String whyNot(kj::Function<void()> action) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { action(); })) {
    return kj::str(e->getDescription());
  }
  return kj::str("nothing went wrong");
}

struct Fixture {
  SecretKey key = SecretKey::generate();
  IpnsName name = IpnsName::of(key.getPublicKey());
  TestRecord record{"/ipfs/bafkqaaa"};

  kj::String whyNotVerified(kj::ArrayPtr<const kj::byte> bytes, kj::Date now = NOW) {
    return whyNot([&]() { verifyIpnsRecord(name, bytes, now); });
  }
};

KJ_TEST("a record that the name's key has signed is believed, with the old fields or without") {
  Fixture f;
  for (bool hasOldFields: {true, false}) {
    f.record.hasOldFields = hasOldFields;
    auto record = verifyIpnsRecord(f.name, f.record.sign(f.key), NOW);
    KJ_EXPECT(record.value == "/ipfs/bafkqaaa" && record.sequence == 1);
    KJ_EXPECT(record.until == 1893456000);
  }
}

KJ_TEST("one that is signed by another key, or says something else, is not") {
  Fixture f;
  auto other = SecretKey::generate();
  KJ_EXPECT(has(f.whyNotVerified(f.record.sign(other)), "not signed by the name's key"));
  f.record.prefix = ""_kj;
  KJ_EXPECT(has(f.whyNotVerified(f.record.sign(f.key)), "not signed by the name's key"));
  f.record.prefix = "ipns-signature:"_kj;
  f.record.oldValue = kj::str("/ipfs/bafkqaab");
  KJ_EXPECT(has(f.whyNotVerified(f.record.sign(f.key)), "has signed another"));
  f.record.oldValue = kj::str(f.record.value);
  f.record.validityType = 1;
  KJ_EXPECT(has(f.whyNotVerified(f.record.sign(f.key)), "not known here"));
}

KJ_TEST("each byte of what is signed counts, and none of a record can be left out") {
  Fixture f;
  f.record.hasOldFields = false;
  auto good = f.record.sign(f.key);
  for (size_t i = 0; i < good.size(); i++) {
    auto bad = kj::heapArray<kj::byte>(good);
    bad[i] ^= 1;
    KJ_EXPECT(f.whyNotVerified(bad) != "nothing went wrong", i);
    KJ_EXPECT(f.whyNotVerified(good.slice(0, i)) != "nothing went wrong", i);
  }
}

KJ_TEST("one that has expired, or never does, is refused") {
  Fixture f;
  f.record.until = kj::str("2024-10-04T00:00:01Z");
  verifyIpnsRecord(f.name, f.record.sign(f.key), NOW);
  auto why = f.whyNotVerified(f.record.sign(f.key), NOW + 1 * kj::SECONDS);
  KJ_EXPECT(why == "the record has expired, at 2024-10-04T00:00:01Z", why);
  for (auto until: {""_kj, "never"_kj, "2030-01-01"_kj, "2030-01-01T00:00:00"_kj,
                    "2030-13-01T00:00:00Z"_kj, "2030-02-30T00:00:00Z"_kj,
                    "2030-01-01T24:00:00Z"_kj, "2030-01-01T00:00:00.Z"_kj,
                    "2030-01-01T00:00:00+01:00"_kj, "2030-01-01T00:00:00Zx"_kj}) {
    f.record.until = kj::str(until);
    why = f.whyNotVerified(f.record.sign(f.key));
    KJ_EXPECT(has(why, "until no time"), until, why);
  }
}

KJ_TEST("what is signed but is no map of IPNS is refused") {
  Fixture f;
  auto refused = [&](std::initializer_list<kj::byte> cbor) {
    auto bytes = kj::heapArray<kj::byte>(cbor);
    auto why = f.whyNotVerified(f.record.signData(f.key, bytes));
    return has(why, "no map of IPNS");
  };
  KJ_EXPECT(refused({0xa0}));                          // nothing in it
  KJ_EXPECT(refused({0x80}));                          // an array
  KJ_EXPECT(refused({0xbb, 255, 255, 255, 255, 255, 255, 255, 255}));
  KJ_EXPECT(refused({0xbf, 0xff}));                    // without a length
  KJ_EXPECT(refused({0xa1, 0x5b, 255, 255, 255, 255, 255, 255, 255, 255}));
  KJ_EXPECT(refused({0xa1, 0x61, 'a', 0xa0}));         // a map within
  KJ_EXPECT(refused({0xa1, 0x65, 'V', 'a', 'l', 'u', 'e', 0x01}));
  kj::Vector<kj::byte> more;
  more.addAll(f.record.getData());
  more.add(0);
  KJ_EXPECT(has(f.whyNotVerified(f.record.signData(f.key, more)), "something follows"));
}

KJ_TEST("a record that is too long, or leads to nothing that is text, is refused") {
  Fixture f;
  auto large = kj::heapArray<kj::byte>(MAX_IPNS_RECORD_BYTES + 1);
  memset(large.begin(), 0, large.size());
  KJ_EXPECT(has(f.whyNotVerified(large), "the limit is"));
  f.record.value = kj::strArray(kj::repeat('a', 2000), "");
  f.record.hasOldFields = false;
  KJ_EXPECT(has(f.whyNotVerified(f.record.sign(f.key)), "no path"));
  f.record.value = kj::str("/ipfs/\xff");
  KJ_EXPECT(has(f.whyNotVerified(f.record.sign(f.key)), "no path"));
}

KJ_TEST("a name is a key in any of its spellings; others are refused by what they are") {
  Fixture f;
  auto text = f.name.toText();
  auto key = [](const IpnsName& name) {
    return kj::heapArray<const kj::byte>(kj::ArrayPtr<const kj::byte>(name.getKey().bytes));
  };
  KJ_EXPECT(key(IpnsName::parse(text)) == key(f.name), text);
  kj::Vector<kj::byte> multihash;
  for (kj::byte b: {0x00, 0x24, 0x08, 0x01, 0x12, 0x20}) multihash.add(b);
  multihash.addAll(key(f.name));
  auto peerId = encodeBase58(multihash);
  KJ_EXPECT(peerId.startsWith("12D3Koo") && key(IpnsName::parse(peerId)) == key(f.name));
  constexpr auto BASE_36 = "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8"_kj;
  KJ_EXPECT(key(IpnsName::parse(BASE_36)) != key(f.name));
  auto why = [](kj::StringPtr bad) { return whyNot([&]() { IpnsName::parse(bad); }); };
  KJ_EXPECT(has(why("example.com"), "name of DNS"));
  KJ_EXPECT(has(why("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"), "not of Ed25519"));
  KJ_EXPECT(has(why("bafkqaaa"), "of content"));
  KJ_EXPECT(has(why("nonsense"), "no name of IPNS"));
}

struct FakeSource final: public IpnsSource {
  kj::Maybe<kj::Array<const kj::byte>> record;
  kj::StringPtr getName() const override { return "fake"; }
  kj::Promise<kj::Array<const kj::byte>> fetchRecord(const IpnsName&) override {
    KJ_IF_MAYBE(bytes, record) return kj::heapArray<const kj::byte>(*bytes);
    return KJ_EXCEPTION(FAILED, "it has none");
  }
};

struct FixedClock final: public kj::Clock {
  kj::Date now() const override { return NOW; }
};

struct OneName final: public IpnsMemory {
  kj::Maybe<Seen> seen;
  kj::Maybe<Seen> findSeen(const IpnsName&) override { return seen; }
  kj::Promise<void> setSeen(const IpnsName&, const Seen& now) override {
    seen = now;
    return kj::READY_NOW;
  }
};

struct ResolveFixture: Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  FixedClock clock;
  MemoryLogger logger;
  OneName memory;
  FakeSource a, b;
  IpnsSource* sources[2] = {&a, &b};
  IpnsRecord resolve() {
    return resolveIpns(name, sources, memory, clock, logger).wait(waitScope);
  }
};

KJ_TEST("of many records the newest is taken, whoever has it") {
  ResolveFixture f;
  auto older = f.record.sign(f.key);
  f.record.sequence = 2;
  f.record.value = kj::str("/ipfs/bafkqaab");
  f.record.oldValue = kj::str(f.record.value);
  auto newer = f.record.sign(f.key);
  for (bool swapped: {false, true}) {
    f.a.record = kj::heapArray<const kj::byte>(swapped ? older : newer);
    f.b.record = kj::heapArray<const kj::byte>(swapped ? newer : older);
    KJ_EXPECT(f.resolve().value == "/ipfs/bafkqaab");
    KJ_EXPECT(KJ_ASSERT_NONNULL(f.memory.seen).sequence == 2);
  }
  auto until = kj::str("2031-01-01T00:00:00Z");  // as new, and valid for longer
  f.record.until = kj::mv(until);
  f.b.record = f.record.sign(f.key);
  KJ_EXPECT(f.resolve().until == 1924992000);
}

KJ_TEST("what is older than a record that was seen is refused, and as new a one is not") {
  ResolveFixture f;
  f.record.sequence = 5;
  auto five = f.record.sign(f.key);
  f.a.record = kj::heapArray<const kj::byte>(five);
  KJ_EXPECT(f.resolve().sequence == 5);
  KJ_EXPECT(f.resolve().sequence == 5);
  f.record.sequence = 4;
  f.record.until = kj::str("2090-01-01T00:00:00Z");  // for longer, and yet older
  f.a.record = f.record.sign(f.key);
  auto why = whyNot([&]() { f.resolve(); });
  KJ_EXPECT(has(why, "fake: the record is older than one that was seen before: its number is 4, "
                     "and there was 5"), why);
  f.b.record = kj::heapArray<const kj::byte>(five);
  KJ_EXPECT(f.resolve().sequence == 5);  // whoever else has an older one
  f.record.sequence = 5;
  f.a.record = f.record.sign(f.key);
  auto until = f.resolve().until;
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.memory.seen).until == until);
  f.a.record = nullptr;
  why = whyNot([&]() { f.resolve(); });
  KJ_EXPECT(has(why, "of the same number, 5, there was one that is valid for longer"), why);
  f.record.sequence = 6;
  f.b.record = f.record.sign(f.key);
  KJ_EXPECT(f.resolve().sequence == 6);
}

KJ_TEST("a source whose record is not believed is named, and the others count") {
  ResolveFixture f;
  f.a.record = f.record.sign(SecretKey::generate());
  auto why = whyNot([&]() { f.resolve(); });
  KJ_EXPECT(has(why, "leads nowhere: fake: the record is not signed"), why);
  KJ_EXPECT(has(why, "it has none"), why);
  f.b.record = f.record.sign(f.key);
  KJ_EXPECT(f.resolve().value == "/ipfs/bafkqaaa");
  KJ_EXPECT(has(kj::strArray(f.logger.getLines(), ""), "not signed by the name's key"));
  why = whyNot([&]() {
    resolveIpns(f.name, nullptr, f.memory, f.clock, f.logger).wait(f.waitScope);
  });
  KJ_EXPECT(has(why, "--gateway"), why);
}

KJ_TEST("names that lead to names are followed, so many, with what follows each") {
  ResolveFixture f;
  auto follow = [&]() {
    return resolveRef(IpnsRef{f.name, kj::str("x/y")}, f.sources, f.memory, f.clock, f.logger)
        .wait(f.waitScope);
  };
  f.a.record = TestRecord("/ipfs/bafkqaaa/dir").sign(f.key);
  KJ_EXPECT(follow().path == "dir/x/y" && follow().root.toText() == "bafkqaaa");
  f.a.record = TestRecord(kj::str("/ipns/", f.name.toText())).sign(f.key);
  KJ_EXPECT(has(whyNot([&]() { follow(); }), "more than 8 names"));
  f.a.record = TestRecord("/etc/passwd").sign(f.key);
  KJ_EXPECT(has(whyNot([&]() { follow(); }), "neither /ipfs/CID nor"));
}

}  // namespace
}  // namespace ww
