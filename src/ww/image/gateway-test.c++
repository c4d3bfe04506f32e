// What gateways and IPFS nodes are asked, and what becomes of those that misbehave.
#include <ww/image/gateway.h>

#include <kj/encoding.h>
#include <kj/test.h>
#include <string.h>
#include <ww/image/http-service-test.h>
#include <ww/image/kubo.h>

namespace ww {
namespace {

constexpr kj::StringPtr HELLO = "hello"_kj;
constexpr auto PUBLIC = "https://gateway.example"_kj;

bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

kj::Array<kj::byte> bytesOf(kj::StringPtr text) { return kj::heapArray(text.asBytes()); }
Cid helloCid() { return Cid::of(Cid::RAW, HELLO.asBytes()); }

FakeAnswer answer(kj::StringPtr body, kj::uint status = 200) {
  FakeAnswer result;
  result.body = bytesOf(body);
  result.status = status;
  return result;
}
FakeAnswer redirect(kj::StringPtr to, kj::uint status = 302) {
  auto result = answer("moved", status);
  result.location = kj::str(to);
  return result;
}

// What one gateway, at a public address, does with a question.
kj::String failureWith(FakeInternet::Handler handler) {
  FakeInternet internet;
  internet.serve(PUBLIC, true, kj::mv(handler));
  GatewaySource gateway(internet.reach(), PUBLIC);
  return internet.failureOf(gateway.fetch(helloCid()));
}

KJ_TEST("a gateway is asked for a block as such, and only for that") {
  FakeInternet internet;
  for (auto how: {FakeAnswer::PLAIN, FakeAnswer::CHUNKED}) {
    internet.serve(PUBLIC, true, [how](kj::StringPtr) {
      auto result = answer(HELLO);
      result.how = how;
      return result;
    });
    GatewaySource gateway(internet.reach(), "https://gateway.example/");
    auto block = gateway.fetch(helloCid()).wait(internet.waitScope);
    KJ_EXPECT(block == HELLO.asBytes());
    KJ_EXPECT(gateway.getName() == "gateway https://gateway.example");
  }
  KJ_EXPECT(internet.asked[0] == kj::str("GET ", PUBLIC, "/ipfs/", helloCid().toText(),
                                         "?format=raw"));
}

KJ_TEST("a path of a gateway's is kept, and shown to nobody") {
  FakeInternet internet;
  internet.serve(PUBLIC, true, [](kj::StringPtr path) {
    return path.startsWith("/secret/key/ipfs/") ? answer(HELLO) : answer("no", 404);
  });
  GatewaySource gateway(internet.reach(), "https://gateway.example/secret/key");
  KJ_EXPECT(gateway.fetch(helloCid()).wait(internet.waitScope) == HELLO.asBytes());
  KJ_EXPECT(!has(gateway.getName(), "secret"));
}

KJ_TEST("what is no block is refused, and why is said") {
  auto why = failureWith([](kj::StringPtr) { return answer("ipld: not found", 404); });
  KJ_EXPECT(why == "HTTP 404: `ipld: not found`", why);
  why = failureWith([](kj::StringPtr) { return answer("", 504); });
  KJ_EXPECT(why == "HTTP 504", why);
  for (auto status: {200u, 403u}) for (auto type: {"text/html; charset=utf-8"_kj, "Text/HTML"_kj}) {
    why = failureWith([=](kj::StringPtr) {
      auto page = answer("<!doctype html><p>Log in", status);
      page.type = kj::str(type);
      return page;
    });
    KJ_EXPECT(has(why, status == 200 ? "a page of HTML" : "HTTP 403") && !has(why, "doctype"), why);
  }
}

KJ_TEST("an answer that is too long, cut or late is given up") {
  auto why = failureWith([](kj::StringPtr) {
    auto result = answer("x");
    result.how = FakeAnswer::LONG;
    return result;
  });
  KJ_EXPECT(has(why, "the limit is"), why);
  why = failureWith([](kj::StringPtr) {
    FakeAnswer result;
    result.body = kj::heapArray<kj::byte>(MAX_BLOCK_BYTES + 1);
    memset(result.body.begin(), 0, result.body.size());
    result.how = FakeAnswer::CHUNKED;
    return result;
  });
  KJ_EXPECT(has(why, "which is the limit"), why);
  for (auto how: {FakeAnswer::SILENCE, FakeAnswer::HALF_AND_SILENCE}) {
    why = failureWith([how](kj::StringPtr) {
      auto result = answer(HELLO);
      result.how = how;
      return result;
    });
    auto expected = how == FakeAnswer::SILENCE ? "no answer within 30s"_kj : "its answer stalls"_kj;
    KJ_EXPECT(why == expected, why);
  }
}

// A server over a pipe, which answers as fast as a test lets it.
KJ_TEST("an answer has as long as it goes on coming, however slow, and no longer") {
  constexpr size_t SIZE = 1 << 20;
  for (size_t piece: {SIZE / 8, size_t(1000)}) {
    FakeInternet internet;
    auto pipe = kj::newTwoWayPipe();
    auto client = kj::newHttpClient(internet.table, *pipe.ends[0]);
    GatewaySource gateway({*client, *client, internet.table, internet.timer}, PUBLIC);
    auto block = gateway.fetch(helloCid());
    kj::byte buffer[1024];
    pipe.ends[1]->tryRead(buffer, 1, sizeof(buffer)).wait(internet.waitScope);
    auto head = kj::str("HTTP/1.1 200 OK\r\nContent-Length: ", SIZE, "\r\n\r\n");
    pipe.ends[1]->write(head.begin(), head.size()).wait(internet.waitScope);
    auto body = kj::heapArray<kj::byte>(SIZE);
    memset(body.begin(), 0, SIZE);
    for (size_t given = 0; given < SIZE && !block.poll(internet.waitScope); given += piece) {
      internet.timer.advanceTo(internet.timer.now() + 2 * HttpEndpoint::TIMEOUT / 3);
      auto end = kj::min(SIZE, given + piece);
      auto writing = pipe.ends[1]->write(body.begin() + given, end - given);
      writing.poll(internet.waitScope);
    }
    auto why = internet.failureOf(kj::mv(block));
    KJ_EXPECT(why == (piece == 1000 ? "its answer stalls"_kj : "nothing went wrong"_kj), why);
  }
}

// Over a pipe, as a server that closes within its answer has it.
KJ_TEST("an answer that ends before its end is not taken for a block") {
  FakeInternet internet;
  auto pipe = kj::newTwoWayPipe();
  auto client = kj::newHttpClient(internet.table, *pipe.ends[0]);
  GatewaySource gateway({*client, *client, internet.table, internet.timer}, PUBLIC);
  auto block = gateway.fetch(helloCid());
  kj::byte buffer[1024];
  pipe.ends[1]->tryRead(buffer, 1, sizeof(buffer)).wait(internet.waitScope);
  constexpr auto PART = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"_kj;
  pipe.ends[1]->write(PART.begin(), PART.size()).wait(internet.waitScope);
  pipe.ends[1]->shutdownWrite();
  auto why = internet.failureOf(kj::mv(block));
  KJ_EXPECT(why == "its answer was cut off", why);
}

KJ_TEST("what is no answer of HTTP is told of in words that a person knows") {
  constexpr auto NONE = "what it answers is no HTTP: check its URL"_kj;
  constexpr auto CUT = "its answer was cut off"_kj;
  constexpr auto INTERIM = "it answers with an interim HTTP 103, which is not understood here: "
                           "have it answer at once, or name another"_kj;
  constexpr auto STATUS = "its answer has a status that HTTP does not know"_kj;
  struct { kj::StringPtr sent, why; } cases[] = {
    {"", CUT}, {"SSH-2.0-OpenSSH_9.9\r\n", CUT}, {"SSH-2.0-OpenSSH_9.9\r\n\r\n", NONE},
    {"HTTP/1.1 OK\r\n\r\n", NONE}, {"HTTP/1.1 200 OK\r\nno header\r\n\r\n", NONE},
    {"HTTP/1.1 200 OK\r\nContent-Length: much\r\n\r\n", NONE},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: odd\r\n\r\n", NONE},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n", NONE},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", CUT},
    {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n", INTERIM},
    {"HTTP/1.1 1000 OK\r\nContent-Length: 0\r\n\r\n", STATUS},
    {"HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n", STATUS}};
  for (auto& c: cases) {
    FakeInternet internet;
    auto pipe = kj::newTwoWayPipe();
    auto client = kj::newHttpClient(internet.table, *pipe.ends[0]);
    GatewaySource gateway({*client, *client, internet.table, internet.timer}, PUBLIC);
    auto block = gateway.fetch(helloCid());
    kj::byte buffer[1024];
    pipe.ends[1]->tryRead(buffer, 1, sizeof(buffer)).wait(internet.waitScope);
    auto writing = pipe.ends[1]->write(c.sent.begin(), c.sent.size()).then([&]() {
      pipe.ends[1]->shutdownWrite();
    }).eagerlyEvaluate([](kj::Exception&&) {});
    auto why = internet.failureOf(kj::mv(block));
    KJ_EXPECT(why == c.why, why, c.sent);
  }
}

KJ_TEST("redirects are followed, so many") {
  for (kj::uint count: {HttpEndpoint::MAX_REDIRECTS, HttpEndpoint::MAX_REDIRECTS + 1}) {
    FakeInternet internet;
    for (kj::uint i = 0; i <= count; i++) {
      auto host = i == 0 ? kj::str(PUBLIC) : kj::str("http://hop", i, ".example");
      internet.serve(host, true, [i, count](kj::StringPtr path) {
        constexpr kj::uint STATUS[] = {301, 302, 303, 307, 308};
        if (i == count) return answer(HELLO);
        return redirect(kj::str("http://hop", i + 1, ".example", path), STATUS[i]);
      });
    }
    GatewaySource gateway(internet.reach(), PUBLIC);
    auto block = gateway.fetch(helloCid());
    if (count == HttpEndpoint::MAX_REDIRECTS) {
      KJ_EXPECT(block.wait(internet.waitScope) == HELLO.asBytes());
    } else {
      auto why = internet.failureOf(kj::mv(block));
      KJ_EXPECT(why == "it redirects more than 4 times", why);
    }
  }
}

KJ_TEST("a redirect to a private address is refused, but for one on the operator's own network") {
  FakeInternet internet;
  kj::uint inside = 0;
  internet.serve("http://10.0.0.7", false, [&](kj::StringPtr) { ++inside; return answer(HELLO); });
  auto lead = [](kj::StringPtr path) { return redirect(kj::str("http://10.0.0.7", path)); };
  internet.serve(PUBLIC, true, lead);
  GatewaySource outer(internet.reach(), PUBLIC);
  auto why = internet.failureOf(outer.fetch(helloCid()));
  KJ_EXPECT(why == "it redirects to http://10.0.0.7, which is no public address", why);
  KJ_EXPECT(inside == 0);
  for (auto own: {"http://127.0.0.1:8080"_kj, "http://localhost:8080"_kj, "http://[::1]:8080"_kj,
                  "http://192.168.1.1"_kj, "http://172.20.0.1"_kj}) {
    internet.serve(own, false, lead);
    GatewaySource inner(internet.reach(), own);
    KJ_EXPECT(inner.fetch(helloCid()).wait(internet.waitScope) == HELLO.asBytes(), own);
  }
  // A name that looks like a private address is none, and may be anybody's.
  internet.serve("http://10.0.0.7.example", true, lead);
  GatewaySource named(internet.reach(), "http://10.0.0.7.example");
  KJ_EXPECT(has(internet.failureOf(named.fetch(helloCid())), "no public address"));
}

KJ_TEST("a gateway behind a name may redirect within itself, wherever that is") {
  FakeInternet internet;
  internet.serve("http://gateway.lan", false, [](kj::StringPtr path) {
    return path.startsWith("/ipfs/") ? redirect(kj::str("/there", path)) : answer(HELLO);
  });
  GatewaySource gateway(internet.reach(), "http://gateway.lan");
  KJ_EXPECT(gateway.fetch(helloCid()).wait(internet.waitScope) == HELLO.asBytes());
}

KJ_TEST("a redirect to what is no server is refused") {
  for (auto to: {"file:///etc/passwd"_kj, "ftp://example.com/"_kj, "http://u:p@example.com/"_kj,
                 "http://:80/"_kj, "http://h:0/"_kj, "http://h:99999/"_kj}) {
    auto why = failureWith([to](kj::StringPtr) { return redirect(to); });
    KJ_EXPECT(has(why, "no server"), to, why);
  }
  auto why = failureWith([](kj::StringPtr) { return answer("", 302); });
  KJ_EXPECT(has(why, "does not say where"), why);
  why = failureWith([](kj::StringPtr) { return redirect("http://nowhere.example/"); });
  KJ_EXPECT(has(why, "http://nowhere.example: Connection refused"), why);
}

KJ_TEST("a gateway that asks to be left alone for a while is, within the time of an answer") {
  constexpr kj::uint SECONDS = HttpEndpoint::TIMEOUT / kj::SECONDS;
  struct { kj::uint status; kj::StringPtr pause; kj::uint most; bool isWaitedFor; } cases[] = {
    {429, "3", 10, true}, {503, "29", 2, true}, {429, "0", SECONDS, true}, {429, "30", 1, false},
    {429, "4000000000", 1, false}, {429, "Fri, 31 Dec 1999 23:59:59 GMT", 1, false},
    {429, "", 1, false}, {404, "3", 1, false}};
  for (auto& c: cases) for (bool always: {false, true}) {
    FakeInternet internet;
    internet.serve(PUBLIC, true, [&](kj::StringPtr) {
      if (!always && internet.asked.size() > 1) return answer(HELLO);
      auto result = answer("slow down", c.status);
      result.retryAfter = kj::str(c.pause);
      return result;
    });
    GatewaySource gateway(internet.reach(), PUBLIC);
    MemoryLogger logger;
    MemoryBlockStore store;
    kj::Vector<kj::Own<BlockSource>> sources;
    sources.add(kj::Own<BlockSource>(&gateway, kj::NullDisposer::instance));
    BlockFetcher fetcher(store, sources, logger);
    auto why = internet.failureOf(fetcher.get(helloCid()));
    bool isHad = c.isWaitedFor && !always;
    auto expected = isHad ? kj::str("nothing went wrong")
        : kj::str("block ", helloCid().toText(), " cannot be had: gateway ", PUBLIC, ": HTTP ",
                  c.status, ": `slow down`");
    KJ_EXPECT(why == expected, why, c.pause);
    auto asked = internet.asked.size();
    KJ_EXPECT(asked >= (c.isWaitedFor ? 2 : 1) && asked <= c.most, asked, c.pause);
    auto waited = internet.timer.now() - kj::origin<kj::TimePoint>();
    KJ_EXPECT((waited > 0 * kj::SECONDS) == c.isWaitedFor && waited < HttpEndpoint::TIMEOUT,
              waited, c.pause);
  }
}

KJ_TEST("who asks to be left alone costs no time where another has the block") {
  FakeInternet internet;
  kj::uint busy = 0;
  bool isBusy = true;
  internet.serve(PUBLIC, true, [&](kj::StringPtr) {
    if (!isBusy) return answer(HELLO);
    ++busy;
    auto result = answer("slow down", 429);
    result.retryAfter = kj::str("25");
    return result;
  });
  bool hasIt = true;
  internet.serve("https://other.example", true, [&](kj::StringPtr path) {
    if (!hasIt || !has(path, helloCid().toText())) return answer("none", 404);
    return answer(HELLO);
  });
  MemoryLogger logger;
  MemoryBlockStore store;
  kj::Vector<kj::Own<BlockSource>> sources;
  for (auto url: {PUBLIC, "https://other.example"_kj}) {
    sources.add(kj::heap<GatewaySource>(internet.reach(), url));
  }
  for (auto reads: {BlockFetcher::Reads::BLOCKS, BlockFetcher::Reads::DAGS}) {
    BlockFetcher fetcher(store, sources, logger, reads);
    for (int i = 0; i < 3; i++) {
      auto got = fetcher.get(helloCid());
      KJ_ASSERT(got.poll(internet.waitScope));
      KJ_EXPECT(got.wait(internet.waitScope) == HELLO.asBytes());
      KJ_EXPECT(busy == 1, busy, "it is left alone");
      store.remove(helloCid());
    }
  }
  hasIt = false;
  BlockFetcher fetcher(store, sources, logger);
  auto got = fetcher.get(helloCid());
  KJ_EXPECT(!got.poll(internet.waitScope) && busy == 1);
  isBusy = false;
  internet.timer.advanceTo(internet.timer.now() + 25 * kj::SECONDS);
  KJ_ASSERT(got.poll(internet.waitScope));
  KJ_EXPECT(got.wait(internet.waitScope) == HELLO.asBytes());
}

KJ_TEST("a name's record is waited for, as nobody else has that one's") {
  FakeInternet internet;
  internet.serve(PUBLIC, true, [&](kj::StringPtr) {
    auto result = answer("slow down", internet.asked.size() > 1 ? 200 : 503);
    result.retryAfter = kj::str("3");
    return result;
  });
  GatewaySource gateway(internet.reach(), PUBLIC);
  auto name = IpnsName::of(SecretKey::generate().getPublicKey());
  KJ_EXPECT(internet.failureOf(gateway.fetchRecord(name)) == "nothing went wrong");
  KJ_EXPECT(internet.asked.size() == 2);
}

KJ_TEST("what this process lacks is not the gateway's silence") {
  using Type = kj::Exception::Type;
  for (bool isLate: {false, true}) {
    FakeInternet internet;
    internet.serve(PUBLIC, true, [&](kj::StringPtr) -> FakeAnswer {
      kj::throwFatalException(kj::Exception(Type::OVERLOADED, __FILE__, __LINE__, kj::str(
          isLate ? "connect(): Connection timed out" : "socket(AF_INET): Too many open files")));
    });
    GatewaySource gateway(internet.reach(), PUBLIC);
    auto type = gateway.fetch(helloCid()).then([](auto&&) -> Type { KJ_UNREACHABLE; },
        [&](kj::Exception&& e) {
      KJ_EXPECT(e.getDescription() == (isLate ? "Connection timed out"_kj
          : "it cannot be asked from here: Too many open files"_kj), e.getDescription());
      return e.getType();
    }).wait(internet.waitScope);
    KJ_EXPECT((type == Type::OVERLOADED) == isLate);
  }
}

KJ_TEST("what is no URL of a gateway is refused") {
  FakeInternet internet;
  for (auto url: {""_kj, "gateway.example"_kj, "ftp://h"_kj, "http://"_kj, "http://u@h"_kj,
                  "http://h/?a=b"_kj, "http://h/#a"_kj, "http://h:x"_kj, "http://[::1"_kj}) {
    KJ_EXPECT_THROW_MESSAGE("a gateway", GatewaySource(internet.reach(), url).getName());
  }
}

KJ_TEST("an IPFS node is asked by POST, at a URL or a multiaddr, and redirects are not followed") {
  FakeInternet internet;
  internet.serve("http://127.0.0.1:5001", false, [](kj::StringPtr path) {
    if (path.startsWith("/api/v0/block/get?arg=")) return answer(HELLO);
    return redirect("http://127.0.0.1:5001/api/v0/block/get?arg=");
  });
  for (auto address: {"http://127.0.0.1:5001"_kj, "/ip4/127.0.0.1/tcp/5001"_kj,
                      "/ip4/127.0.0.1/tcp/5001/http"_kj}) {
    KuboSource node(internet.reach(), address);
    KJ_EXPECT(node.fetch(helloCid()).wait(internet.waitScope) == HELLO.asBytes());
    KJ_EXPECT(internet.asked.back().startsWith("POST http://127.0.0.1:5001/api/v0/block/get?arg="));
    PublicKey key = SecretKey::generate().getPublicKey();
    KJ_EXPECT(has(internet.failureOf(node.fetchRecord(IpnsName::of(key))), "HTTP 302"));
  }
  KJ_EXPECT(urlOfMultiaddr("/ip6/::1/tcp/1/https") == "https://[::1]:1");
  for (auto bad: {"/ip4/127.0.0.1"_kj, "/ip4/127.0.0.1/udp/5001"_kj, "/unix/a/tcp/1"_kj,
                  "/ip4/127.0.0.1/tcp/5001/p2p/12D3"_kj, "5001"_kj}) {
    KJ_EXPECT_THROW_MESSAGE("such as http", KuboSource(internet.reach(), bad).getName());
  }
  auto why = kj::runCatchingExceptions([]() { urlOfMultiaddr("/ip4/10.0.0.1/tcp/5001/x/KEY"); });
  auto said = kj::str(KJ_ASSERT_NONNULL(why).getDescription());
  KJ_EXPECT(has(said, "`/ip4/10.0.0.1/tcp/5001/...`") && !has(said, "KEY"), said);
}

KJ_TEST("a name's record is what an IPFS node has as Base64 among its lines") {
  FakeInternet internet;
  kj::String said;
  internet.serve("http://127.0.0.1:5001", false, [&](kj::StringPtr) { return answer(said); });
  KuboSource node(internet.reach(), "http://127.0.0.1:5001");
  auto name = IpnsName::of(SecretKey::generate().getPublicKey());
  said = kj::str("{\"Extra\":\"\",\"ID\":\"a\",\"Type\":6}\n{\"Extra\":\"",
                 kj::encodeBase64(HELLO.asBytes()), "\",\"ID\":\"\",\"Type\":5}\n");
  KJ_EXPECT(node.fetchRecord(name).wait(internet.waitScope) == HELLO.asBytes());
  for (auto bad: {""_kj, "{}"_kj, "{\"Extra\":\"*\"}"_kj, "{\"Extra\":7}"_kj}) {
    said = kj::str(bad);
    KJ_EXPECT(has(internet.failureOf(node.fetchRecord(name)), "does not have"), bad);
  }
  for (auto bad: {"<html>"_kj, "[]"_kj, "{"_kj, "[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]"_kj}) {
    said = kj::str(bad);
    KJ_EXPECT(has(internet.failureOf(node.fetchRecord(name)), "no JSON"), bad);
  }
}

KJ_TEST("a wrong byte names the gateway that sent it, and the next is asked") {
  FakeInternet internet;
  MemoryLogger logger;
  MemoryBlockStore store;
  internet.serve("https://liar.example", true, [](kj::StringPtr) { return answer("hellO"); });
  internet.serve("https://late.example", true, [](kj::StringPtr) { return answer("", 504); });
  internet.serve(PUBLIC, true, [](kj::StringPtr) { return answer(HELLO); });
  kj::Vector<kj::Own<BlockSource>> sources;
  for (auto url: {"https://liar.example"_kj, "https://late.example"_kj, PUBLIC}) {
    sources.add(kj::heap<GatewaySource>(internet.reach(), url));
  }
  BlockFetcher fetcher(store, sources, logger);
  KJ_EXPECT(fetcher.get(helloCid()).wait(internet.waitScope) == HELLO.asBytes());
  auto lines = kj::strArray(logger.getLines(), "");
  KJ_EXPECT(has(lines, "gateway https://liar.example"), lines);
  KJ_EXPECT(store.find(helloCid()) != nullptr);
}

}  // namespace
}  // namespace ww
