#include <ww/node/network.h>

#include <kj/encoding.h>
#include <kj/test.h>

namespace ww {
namespace {

constexpr kj::StringPtr HEADER = "/key/swarm/psk/1.0.0/\n/base16/\n"_kj;
constexpr kj::StringPtr DIGITS =
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"_kj;

KJ_TEST("the key of a private network, as Kubo writes it") {
  for (auto end: {""_kj, "\n"_kj, "\r\n"_kj}) {
    KJ_EXPECT(kj::encodeHex(parseNetworkKey(kj::str(HEADER, DIGITS, end))) == DIGITS);
  }
  for (auto& text: {kj::str(), kj::str(DIGITS), kj::str(HEADER), kj::str(HEADER, DIGITS, "00"),
                    kj::str(HEADER, DIGITS.slice(2)), kj::str(HEADER, "zz", DIGITS.slice(2)),
                    kj::str("/key/swarm/psk/1.0.0/\n/bin/\n", DIGITS)}) {
    auto problem = KJ_ASSERT_NONNULL(kj::runCatchingExceptions([&]() { parseNetworkKey(text); }));
    KJ_EXPECT(problem.getDescription().startsWith("no key of a private network"), text);
  }
}

KJ_TEST("a node that is told nothing else listens on port 2020, over QUIC too where it can") {
  auto texts = [](const NetworkOptions& options) {
    return kj::strArray(KJ_MAP(addr, listenAddrs(options)) { return addr.toText(); }, " ");
  };
  NetworkOptions options;
  KJ_EXPECT(texts(options) == "/ip4/0.0.0.0/tcp/2020 /ip4/0.0.0.0/udp/2020/quic-v1");
  options.privateNetwork = kj::str("a key");
  KJ_EXPECT(texts(options) == "/ip4/0.0.0.0/tcp/2020");
  options.listen = kj::heapArray<kj::String>(1);
  options.listen[0] = kj::str("/ip4/127.0.0.1/tcp/7");
  KJ_EXPECT(texts(options) == "/ip4/127.0.0.1/tcp/7");
}

KJ_TEST("--rpc: loopback and port 2021 unless it says otherwise") {
  struct { kj::StringPtr text, addr; } good[] = {
    {":2021"_kj, "/ip4/127.0.0.1/tcp/2021"_kj},     {""_kj, "/ip4/127.0.0.1/tcp/2021"_kj},
    {"0.0.0.0:7"_kj, "/ip4/0.0.0.0/tcp/7"_kj},      {"10.1.2.3"_kj, "/ip4/10.1.2.3/tcp/2021"_kj},
    {"[::1]:5"_kj, "/ip6/::1/tcp/5"_kj},            {"[fe80::1]"_kj, "/ip6/fe80::1/tcp/2021"_kj},
    {"::1"_kj, "/ip6/::1/tcp/2021"_kj},             {"127.0.0.1:0"_kj, "/ip4/127.0.0.1/tcp/0"_kj},
  };
  for (auto& one: good) KJ_EXPECT(rpcAddr(one.text) == one.addr, one.text, rpcAddr(one.text));
  for (auto text: {"localhost:1"_kj, "127.0.0.1:"_kj, ":65536"_kj, ":-1"_kj, ":+1"_kj, ":0x1"_kj,
                   "[::1:5"_kj, "[127.0.0.1]:5"_kj, "1.2.3:5"_kj, "::1]:5"_kj, ": 1"_kj,
                   "/ip4/127.0.0.1/tcp/1"_kj, ":1:"_kj}) {
    auto problem = KJ_ASSERT_NONNULL(kj::runCatchingExceptions([&]() { rpcAddr(text); }), text);
    KJ_EXPECT(problem.getDescription().startsWith(kj::str("--rpc ", text, ": no address")), text);
  }
}

KJ_TEST("what an operator wrote wrong is named with its option; nothing is listened on") {
  auto io = kj::setupAsyncIo();
  MemoryLogger logger;
  auto identity = Identity::generate();
  auto problem = [&](kj::StringPtr listen, kj::StringPtr bootstrap, kj::StringPtr key = ""_kj) {
    NetworkOptions options;
    options.enabled = true;
    options.listen = kj::heapArray<kj::String>(1);
    options.listen[0] = kj::str(listen);
    if (bootstrap.size() > 0) {
      options.bootstrap = kj::heapArray<kj::String>(1);
      options.bootstrap[0] = kj::str(bootstrap);
    }
    if (key.size() > 0) options.privateNetwork = kj::str(key);
    auto exception = kj::runCatchingExceptions([&]() {
      makeSwarm(options, identity, io.provider->getTimer(), io.unixEventPort, logger);
    });
    return kj::str(KJ_ASSERT_NONNULL(exception).getDescription());
  };
  KJ_EXPECT(problem("2020", "").startsWith("--listen 2020: no multiaddr: "));
  KJ_EXPECT(problem("", "").startsWith("--listen : no multiaddr: "));
  KJ_EXPECT(problem("/ip4/127.0.0.1/tcp/0", "/ip4/1.2.3.4/tcp/1").startsWith(
      "--bootstrap /ip4/1.2.3.4/tcp/1: it does not say who is there"));
  KJ_EXPECT(problem("/ip4/127.0.0.1/tcp/0", "", "/no/such/file").startsWith(
      "--private-network /no/such/file: cannot be read"));
  KJ_EXPECT(problem("/ip4/127.0.0.1/sctp/1", "").findFirst('/') != nullptr);
  constexpr auto WHO = "/p2p/12D3KooWBc9BTk3VhEyBCCYF3fMs56ayW3uZMoQyMfZU42KTMgyq"_kj;
  for (auto listen: {"/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/1", "/ip4/127.0.0.1/tcp/1/ws",
                     "/dns4/localhost/tcp/1", "/tcp/1", "/p2p-circuit"}) {
    KJ_EXPECT(problem(listen, "").startsWith(kj::str("--listen ", listen, ": ")), listen);
  }
  KJ_EXPECT(problem(kj::str("/ip4/127.0.0.1/tcp/0", WHO), "").endsWith(
      ": who is there is this node; leave /p2p/PEERID out"));
  for (auto where: {"/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/1", "/dns4/a/udp/1",
                    "/ip4/127.0.0.1/tcp/1/ws", "/p2p-circuit", "/ip4/127.0.0.1"}) {
    auto bootstrap = kj::str(where, WHO);
    KJ_EXPECT(problem("/ip4/127.0.0.1/tcp/0", bootstrap)
        .startsWith(kj::str("--bootstrap ", bootstrap, ": ")), bootstrap);
  }
  auto twice = kj::str("/ip4/127.0.0.1/tcp/1", WHO, WHO);
  KJ_EXPECT(problem("/ip4/127.0.0.1/tcp/0", twice).endsWith("who is there"));
}

}  // namespace
}  // namespace ww
