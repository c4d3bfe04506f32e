#include <ww/net/multiaddr.h>

#include <kj/encoding.h>
#include <kj/test.h>
#include <random>

namespace ww {
namespace {

Multiaddr parse(kj::StringPtr hex) {
  auto parsed = Multiaddr::parse(kj::decodeHex(hex));
  KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) KJ_FAIL_ASSERT(hex, *problem);
  return kj::mv(parsed.get<Multiaddr>());
}

kj::String problem(kj::ArrayPtr<const kj::byte> bytes) {
  auto parsed = Multiaddr::parse(bytes);
  KJ_IF_MAYBE(text, parsed.tryGet<kj::String>()) return kj::mv(*text);
  return kj::str("fine: ", parsed.get<Multiaddr>().toText());
}

constexpr kj::StringPtr PEER =
    "a503260024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"_kj;

KJ_TEST("addresses in binary, and how they read") {
  struct {
    kj::StringPtr hex, text;
  } cases[] = {
      {"04c0000201", "/ip4/192.0.2.1"},
      {"047f0000010607e4", "/ip4/127.0.0.1/tcp/2020"},
      {"047f000001910207e4cd03", "/ip4/127.0.0.1/udp/2020/quic-v1"},
      {"2920010db8000000000000000000000001060050", "/ip6/2001:db8:0:0:0:0:0:1/tcp/80"},
      {"35076578616d706c65", "/dns/example"},
      {"360161060001dd03", "/dns4/a/tcp/1/ws"},
      {"89060000000000000007", "/memory/7"},
  };
  for (auto& c: cases) {
    auto addr = parse(c.hex);
    KJ_EXPECT(addr.toText() == c.text, addr.toText());
    KJ_EXPECT(kj::encodeHex(addr.asBytes()) == c.hex);
    KJ_EXPECT(addr.clone().toText() == c.text);
  }
  KJ_EXPECT(parse(kj::str("04c0000201", PEER)).toText().startsWith("/ip4/192.0.2.1/p2p/12D3KooW"));
}

KJ_TEST("who is there is said once") {
  auto bare = parse("04c0000201"), named = parse(kj::str("04c0000201", PEER));
  auto peer = KJ_ASSERT_NONNULL(named.findPeer());
  KJ_EXPECT(bare.toText(peer) == named.toText());
  KJ_EXPECT(named.toText(peer) == named.toText());
  auto relayed = parse(kj::str("04c0000201", PEER, "a202"));
  KJ_EXPECT(relayed.toText(peer).endsWith(kj::str("/p2p-circuit/p2p/", peer.toText())));
}

KJ_TEST("what is wrong is named, with its place") {
  struct {
    kj::StringPtr hex, problem;
  } cases[] = {
      {"", "empty"},
      {"04", "truncated in /ip4"},
      {"04c00002", "truncated in /ip4"},
      {"04c0000201061f", "truncated in /tcp after /ip4"},
      {"04c000020180", "truncated after /ip4"},
      {"01", "unknown protocol 1"},
      {"04c0000201ffff03", "unknown protocol 65535 after /ip4"},
      {"3505616263", "truncated in /dns"},
      {"3500", "a malformed name in /dns"},
      {"3503612f62", "a malformed name in /dns"},
      {"35026100", "a malformed name in /dns"},
      {"3502c328", "a malformed name in /dns"},
      {"a503020001", "a malformed peer id in /p2p"},
      {"ffffffffffffffffffff01", "truncated"},
      {"35ffffffffffffffffff01", "truncated in /dns"},
  };
  for (auto& c: cases) {
    auto text = problem(kj::decodeHex(c.hex));
    KJ_EXPECT(text == c.problem, c.hex, text);
  }
  auto large = kj::heapArray<kj::byte>(Multiaddr::MAX_BYTES + 1);
  for (auto& byte: large) byte = 0xdd;
  KJ_EXPECT(problem(large) == "of 1025 bytes; the limit is 1024");
}

KJ_TEST("the numbers of /memory") {
  KJ_EXPECT(KJ_ASSERT_NONNULL(Multiaddr::memory(7).findMemory()) == 7);
  KJ_EXPECT(KJ_ASSERT_NONNULL(Multiaddr::memory(kj::maxValue).findMemory()) ==
            uint64_t(kj::maxValue));
  KJ_EXPECT(parse("047f0000010607e4").findMemory() == nullptr);
  KJ_EXPECT(parse("89060000000000000007dd03").findMemory() == nullptr);
}

KJ_TEST("places that a stranger's code has no business with") {
  struct {
    kj::StringPtr hex, range;
  } cases[] = {
      {"04 7f000001", "loopback"},
      {"04 7fffffff", "loopback"},
      {"04 00000000", "unspecified"},
      {"04 0a010203", "private"},
      {"04 ac100001", "private"},
      {"04 ac1fffff", "private"},
      {"04 c0a80101", "private"},
      {"04 a9fea9fe", "link-local"},
      {"04 64400001", "shared"},
      {"04 e0000001", "multicast"},
      {"04 ffffffff", "reserved"},
      {"29 00000000000000000000000000000001", "loopback"},
      {"29 00000000000000000000000000000000", "unspecified"},
      {"29 fe800000000000000000000000000001", "link-local"},
      {"29 fc000000000000000000000000000001", "private"},
      {"29 fd000000000000000000000000000001", "private"},
      {"29 ff020000000000000000000000000001", "multicast"},
      {"29 00000000000000000000ffff7f000001", "loopback"},
      {"29 0064ff9b0000000000000000c0a80101", "private"},
      {"29 20020a0000010000000000000000000a", "private"},
      {"29 0064ff9b0001000000000000c0000201", "private"},
      {"29 20010000000000000000000000000001", "tunnel"},
      {"29 3fff0000000000000000000000000001", "documentation"},
      {"29 0000000000000000ffff00007f000001", "loopback"},
      {"29 5f000000000000000000000000000001", "special"},
      {"29 260000000000000000005efe7f000001", "loopback"},
      {"29 260000000000000002005efe0a000001", "private"},
      // Behind a relay, or a name: whatever stands there literally.
      {"04 08080808 060001 04 7f000001", "loopback"},
  };
  for (auto& c: cases) {
    kj::Vector<char> hex;
    for (char digit: c.hex) if (digit != ' ') hex.add(digit);
    hex.add(0);
    auto addr = parse(kj::String(hex.releaseAsArray()));
    KJ_IF_MAYBE(range, addr.findPrivateRange()) {
      KJ_EXPECT(*range == c.range, addr.toText(), *range);
    } else {
      KJ_FAIL_EXPECT("public", addr.toText());
    }
  }
  // Next to those, on either side.
  for (auto hex: {"0408080808060050", "04ac0fffff", "04ac200000", "047effffff", "0480000000",
                  "0463ffffff", "04df000001", "2926064700470000000000000000001111",
                  "35076578616d706c65"}) {
    auto addr = parse(hex);
    KJ_EXPECT(addr.findPrivateRange() == nullptr, addr.toText());
  }
}

KJ_TEST("what is dialled, and what is listened on") {
  using Use = Multiaddr::Use;
  constexpr auto CIRCUIT = "a202"_kj;
  struct { kj::String hex; bool dial, listen; } cases[] = {
    {kj::str("04c0000201", "0607e4"), true, true},
    {kj::str("04c0000201", "0607e4", PEER), true, false},
    {kj::str("0400000000", "060000"), false, true},
    {kj::str("2920010db8000000000000000000000001", "91021234", "cd03"), true, true},
    {kj::str("04c0000201", "0607e4", PEER, CIRCUIT), true, true},
    {kj::str("04c0000201", "0607e4", PEER, CIRCUIT, PEER), true, true},
    {kj::str("04c0000201", "0607e4", PEER, PEER), false, false},
    {kj::str("3803612e62", PEER), true, false},
    {kj::str("3703612e62", "0607e4", PEER), true, false},
    {kj::str("3703612e62", PEER), false, false},
    {kj::str("04c0000201", "91021234"), false, false},
  };
  for (auto& one: cases) {
    auto addr = parse(one.hex);
    KJ_EXPECT((addr.findObstacle(Use::DIAL) == nullptr) == one.dial, addr.toText());
    KJ_EXPECT((addr.findObstacle(Use::LISTEN) == nullptr) == one.listen, addr.toText());
  }
}

KJ_TEST("no bytes whatever do more than be refused") {
  std::minstd_rand random(7);
  auto good = kj::decodeHex(kj::str("04c0000201", "0607e4", PEER));
  for (kj::uint round = 0; round < 20000; round++) {
    auto bytes = kj::heapArray<kj::byte>(good.slice(0, random() % good.size() + 1));
    for (kj::uint i = 0; i <= round % 3; i++) bytes[random() % bytes.size()] = random();
    auto parsed = Multiaddr::parse(bytes);
    KJ_IF_MAYBE(addr, parsed.tryGet<Multiaddr>()) {
      addr->findPrivateRange();
      addr->findObstacle(Multiaddr::Use::DIAL);
      addr->findObstacle(Multiaddr::Use::LISTEN);
      for (char c: addr->toText()) KJ_EXPECT(kj::byte(c) > ' ');
    }
  }
}

}  // namespace
}  // namespace ww
