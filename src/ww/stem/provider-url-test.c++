// URLs of providers, and what of them is shown to nobody.
#include <kj/test.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/stem/discreet-rpc.h>
#include <ww/stem/provider-url.h>

namespace ww {
namespace {

kj::String problem(kj::StringPtr url) {
  kj::String why;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { ProviderUrl::parse(url); })) {
    why = kj::str(e->getDescription());
  }
  return why;
}

KJ_TEST("what it is reached by, and its name without what may be secret") {
  auto http = ProviderUrl::parse("http://127.0.0.1:8545");
  KJ_EXPECT(!http.isWebSocket && http.name == "http://127.0.0.1:8545" && http.secrets.size() == 0);
  auto wss = ProviderUrl::parse("wss://host.example/v2/key-of-mine?token=abcdefghij#x");
  KJ_EXPECT(wss.isWebSocket && wss.name == "wss://host.example");
  KJ_EXPECT(wss.url == "https://host.example/v2/key-of-mine?token=abcdefghij", wss.url);
  KJ_EXPECT(kj::strArray(wss.secrets, " ") == "token=abcdefghij key-of-mine abcdefghij");
  KJ_EXPECT(ProviderUrl::parse("ws://[::1]:8546/x").name == "ws://[::1]:8546");
}

KJ_TEST("what is no URL of a provider is refused, without its path") {
  for (auto url: {"nonsense", "ftp://host/SECRET", "http:///SECRET", "http://u:SECRET@host/",
                  "http://host:SECRET1/", "http://[::1/SECRET", "http://127.0.0.1:99999/SECRET",
                  "http://host:/SECRET", "http://host:0/", "http://:80/", "http://[::1]x/"}) {
    auto why = problem(url);
    KJ_EXPECT(why != "", url);
    bool isTold = strstr(why.cStr(), "SECRET") != nullptr;
    KJ_EXPECT(!isTold || strstr(url, "host:SECRET1") != nullptr, why);
  }
}

class SayingRpc final: public JsonRpc {
 public:
  kj::Promise<RpcAnswer> call(kj::StringPtr method, kj::String) override {
    if (method == "refused") {
      return RpcAnswer(RpcRefusal{7, kj::str("no key-of-mine, nor key-of-mine, key-of-min")});
    }
    if (method == "long") {
      return badInput(kj::str("HTTP 404: `", shorten(kj::str(
          kj::repeat('x', 193), "key-of-mine, and more")), "`"));
    }
    return KJ_EXCEPTION(FAILED, "cannot POST /v2/key-of-mine?abcdefghij");
  }
  kj::Promise<kj::Own<Json>> nextPushed() override { return kj::NEVER_DONE; }
  bool canPush() const override { return true; }
};

KJ_TEST("what it says of its own URL is left out of what is told") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  auto url = ProviderUrl::parse("http://h/v2/key-of-mine?abcdefghij");
  DiscreetRpc rpc(kj::heap<SayingRpc>(), kj::mv(url.secrets));
  auto refused = rpc.call("refused", kj::str("[]")).wait(waitScope);
  KJ_EXPECT(refused.get<RpcRefusal>().message == "no ..., nor ..., key-of-min");
  KJ_EXPECT_THROW_MESSAGE("xxx...`", rpc.call("long", kj::str("[]")).wait(waitScope));
  KJ_EXPECT_THROW_MESSAGE("cannot POST /v2/...?...", rpc.call("x", kj::str("[]")).wait(waitScope));
}

// Says what an HTTP server says of a page that it does not have.
class EchoingRpc final: public JsonRpc {
 public:
  explicit EchoingRpc(kj::String path): path(kj::mv(path)) {}
  kj::Promise<RpcAnswer> call(kj::StringPtr, kj::String) override {
    return badInput(kj::str("Cannot POST ", path));
  }
  kj::Promise<kj::Own<Json>> nextPushed() override { return kj::NEVER_DONE; }
  bool canPush() const override { return false; }

 private:
  kj::String path;
};

KJ_TEST("a key that is encoded in part is left out too, as it is sent and as it is meant") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  struct { kj::StringPtr url, told; } CASES[] = {
    {"http://h/v2/SEC%2FRETab==12345"_kj, "/v2/SEC%2FRETab==12345"_kj},
    {"http://h/v2/SEC%2FRETab==12345"_kj, "/v2/SEC/RETab==12345"_kj},
    {"http://h/v2/SEC%2FRETab%3D%3D12345"_kj, "/v2/SEC%2FRETab%3D%3D12345"_kj},
    {"http://h/?apikey=SECRET+ab%2B12345"_kj, "/?apikey=SECRET+ab%2B12345"_kj},
    {"http://h/?apikey=SECRET+ab%2B12345"_kj, "/?apikey=SECRET ab+12345"_kj},
  };
  for (auto& c: CASES) {
    DiscreetRpc rpc(kj::heap<EchoingRpc>(kj::str(c.told)), ProviderUrl::parse(c.url).secrets);
    kj::String why;
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
      rpc.call("x", kj::str("[]")).wait(waitScope);
    })) {
      why = kj::str(e->getDescription());
    }
    for (auto piece: {"SEC", "RET", "12345"}) {
      KJ_EXPECT(strstr(why.cStr(), piece) == nullptr, c.url, why);
    }
  }
}

}  // namespace
}  // namespace ww
