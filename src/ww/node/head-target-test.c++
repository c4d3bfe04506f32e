// Whose key sets which contract's head, and through whom: what is asked of that provider, and what
// an operator is told.
#include <ww/node/head-target.h>

#include <kj/compat/http.h>
#include <kj/test.h>
#include <string.h>
#include <ww/node/eth-address.h>
#include <ww/node/temp-folder.h>
#include <ww/stem/hex.h>

namespace ww {
namespace {

constexpr auto KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"_kj;
constexpr auto CONTRACT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"_kj;

bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

kj::String word(uint64_t value) {
  auto digits = kj::str(kj::hex(value));
  return kj::str(kj::repeat('0', 64 - digits.size()), digits);
}

// A provider of a chain whose contract has `value` as its fourth head.
class Provider final: public kj::HttpService {
 public:
  explicit Provider(kj::StringPtr value): value(value) {}

  kj::Promise<void> request(kj::HttpMethod, kj::StringPtr url, const kj::HttpHeaders&,
                            kj::AsyncInputStream& body, Response& response) override {
    urls.add(kj::str(url));
    auto call = co_await body.readAllText();
    auto result = answerTo(call);
    auto text = kj::str("{\"jsonrpc\":\"2.0\",\"id\":", urls.size(), ",\"result\":\"", result,
                        "\"}");
    kj::HttpHeaders headers(table);
    auto stream = response.send(200, "OK", headers, text.size());
    co_await stream->write(text.begin(), text.size());
  }

  kj::HttpHeaderTable table;
  kj::Vector<kj::String> urls;

 private:
  kj::StringPtr value;

  kj::String answerTo(kj::StringPtr call) {
    if (has(call, "eth_chainId")) return kj::str("0x1");
    KJ_ASSERT(has(call, "eth_call"), call);
    auto hex = hexDataOf(value.asBytes());
    return kj::str("0x", word(4), word(64), word(value.size()), hex.slice(2),
                   kj::repeat('0', 64 - 2 * value.size()));
  }
};

// A network of one host, whatever is dialled.
class OneHost final: public kj::Network, public kj::NetworkAddress {
 public:
  explicit OneHost(kj::HttpServer& server): server(server), tasks(errors) {}

  kj::Promise<kj::Own<kj::NetworkAddress>> parseAddress(kj::StringPtr, kj::uint) override {
    return clone();
  }
  kj::Own<kj::NetworkAddress> getSockaddr(const void*, kj::uint) override { return clone(); }
  kj::Own<kj::Network> restrictPeers(kj::ArrayPtr<const kj::StringPtr>,
                                     kj::ArrayPtr<const kj::StringPtr>) override {
    return kj::Own<kj::Network>(this, kj::NullDisposer::instance);
  }
  kj::Promise<kj::Own<kj::AsyncIoStream>> connect() override {
    auto pipe = kj::newTwoWayPipe();
    tasks.add(server.listenHttp(kj::mv(pipe.ends[1])));
    return kj::mv(pipe.ends[0]);
  }
  kj::Own<kj::ConnectionReceiver> listen() override { KJ_UNIMPLEMENTED("nobody listens"); }
  kj::Own<kj::NetworkAddress> clone() override {
    return kj::Own<kj::NetworkAddress>(this, kj::NullDisposer::instance);
  }
  kj::String toString() override { return kj::str("the host"); }

 private:
  struct Errors final: public kj::TaskSet::ErrorHandler {
    void taskFailed(kj::Exception&& e) override { KJ_FAIL_EXPECT(e); }
  } errors;
  kj::HttpServer& server;
  kj::TaskSet tasks;
};

// As the real one, but for whom it reaches.
class FakeIo final: public kj::AsyncIoProvider {
 public:
  FakeIo(kj::Network& network, kj::Timer& timer): network(network), timer(timer) {}

  kj::Network& getNetwork() override { return network; }
  kj::Timer& getTimer() override { return timer; }
  kj::OneWayPipe newOneWayPipe() override { return kj::newOneWayPipe(); }
  kj::TwoWayPipe newTwoWayPipe() override { return kj::newTwoWayPipe(); }
  PipeThread newPipeThread(kj::Function<void(kj::AsyncIoProvider&, kj::AsyncIoStream&,
                                             kj::WaitScope&)>) override {
    KJ_UNIMPLEMENTED("no threads");
  }

 private:
  kj::Network& network;
  kj::Timer& timer;
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  Provider provider{"a value"_kj};
  kj::HttpServer server{timer, provider.table, provider};
  OneHost host{server};
  FakeIo io{host, timer};
  MemoryLogger logger;
  TempFolder folder;
  HeadTarget target;

  Fixture() {
    folder.write("key", KEY);
    target.writer.contract = readEthAddress(CONTRACT).get<EthAddress>();
    target.key = folder.at("key");
    target.provider = kj::str("http://provider/secret-of-the-operator");
  }
  kj::Promise<WrittenHead> write(kj::StringPtr value) {
    return writeHead(io, target, kj::heapArray<const kj::byte>(value.asBytes()), logger);
  }
  kj::String refusal(kj::Function<void()> action) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { action(); })) {
      return kj::str(e->getDescription());
    }
    return kj::str("nothing went wrong");
  }
};

KJ_TEST("the provider that was named is asked, and the operator told what became of it") {
  Fixture f;
  auto written = f.write("a value").wait(f.waitScope);
  KJ_EXPECT(written.seq == 4 && written.chainId == 1 && written.included == nullptr);
  KJ_EXPECT(f.provider.urls.size() == 2);
  for (auto& url: f.provider.urls) KJ_EXPECT(url == "/secret-of-the-operator", url);
  auto said = kj::strArray(f.logger.getLines(), "\n");
  KJ_EXPECT(has(said, "nothing was sent") && has(said, CONTRACT) && has(said, "epoch=4"), said);
}

KJ_TEST("what a provider's URL holds is shown to nobody") {
  Fixture f;
  f.target.writer.chainId = 5;
  auto why = f.refusal([&]() { f.write("another").wait(f.waitScope); });
  KJ_EXPECT(has(why, "http://provider: it is of chain 1"), why);
  KJ_EXPECT(!has(why, "secret") && !has(kj::strArray(f.logger.getLines(), "\n"), "secret"), why);
}

KJ_TEST("a key that cannot be used is told of before anybody is asked") {
  Fixture f;
  requireKey(f.target);
  f.folder.write("key", KEY, 0644);
  auto why = f.refusal([&]() { requireKey(f.target); });
  KJ_EXPECT(has(why, "chmod 600"), why);
  KJ_EXPECT(f.refusal([&]() { f.write("another").wait(f.waitScope); }) == why);
  KJ_EXPECT(f.provider.urls.size() == 0);
}

}  // namespace
}  // namespace ww
