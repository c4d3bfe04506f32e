// Who is reached by whom, through the wiring that a node has: a real server on the loopback, and
// names that a test's network knows.
#include <ww/node/image-sources.h>

#include <kj/compat/http.h>
#include <kj/map.h>
#include <kj/test.h>
#include <string.h>

namespace ww {
namespace {

constexpr kj::StringPtr HELLO = "hello"_kj;

// The host's network, but for names that stand for what a test says: what is refused of them is
// refused by the host's.
class NamedNetwork final: public kj::Network {
 public:
  using Names = kj::HashMap<kj::String, kj::String>;
  NamedNetwork(kj::Own<kj::Network> owned, Names& names)
      : own(kj::mv(owned)), inner(*own), names(names) {}
  NamedNetwork(kj::Network& inner, Names& names): inner(inner), names(names) {}

  kj::Promise<kj::Own<kj::NetworkAddress>> parseAddress(kj::StringPtr text,
                                                        kj::uint port) override {
    KJ_IF_MAYBE(address, names.find(text)) return inner.parseAddress(*address, port);
    return inner.parseAddress(text, port);
  }
  kj::Own<kj::NetworkAddress> getSockaddr(const void* address, kj::uint size) override {
    return inner.getSockaddr(address, size);
  }
  kj::Own<kj::Network> restrictPeers(kj::ArrayPtr<const kj::StringPtr> allow,
                                     kj::ArrayPtr<const kj::StringPtr> deny) override {
    return kj::heap<NamedNetwork>(inner.restrictPeers(allow, deny), names);
  }

 private:
  kj::Own<kj::Network> own;
  kj::Network& inner;
  Names& names;
};

class NamedProvider final: public kj::AsyncIoProvider {
 public:
  using Start = kj::Function<void(kj::AsyncIoProvider&, kj::AsyncIoStream&, kj::WaitScope&)>;
  explicit NamedProvider(kj::AsyncIoProvider& inner): inner(inner) {}
  NamedNetwork::Names names;

  kj::OneWayPipe newOneWayPipe() override { return inner.newOneWayPipe(); }
  kj::TwoWayPipe newTwoWayPipe() override { return inner.newTwoWayPipe(); }
  kj::Network& getNetwork() override { return network; }
  PipeThread newPipeThread(Start start) override { return inner.newPipeThread(kj::mv(start)); }
  kj::Timer& getTimer() override { return inner.getTimer(); }

 private:
  kj::AsyncIoProvider& inner;
  NamedNetwork network{inner.getNetwork(), names};
};

// Answers with the block, or leads elsewhere.
class Server final: public kj::HttpService {
 public:
  kj::String location;  // empty: here
  kj::uint asked = 0;
  kj::HttpHeaderTable table;

  kj::Promise<void> request(kj::HttpMethod, kj::StringPtr url, const kj::HttpHeaders&,
                            kj::AsyncInputStream&, Response& response) override {
    ++asked;
    kj::HttpHeaders headers(table);
    bool leads = location.size() > 0 && url.startsWith("/ipfs/");
    if (leads) headers.set(kj::HttpHeaderId::LOCATION, kj::str(location));
    auto body = response.send(leads ? 302 : 200, "Because", headers, HELLO.size());
    co_await body->write(HELLO.begin(), HELLO.size());
  }
};

class NoPeers final: public BlockSource {
 public:
  kj::StringPtr getName() const override { return "peers"; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid&) override {
    return KJ_EXCEPTION(FAILED, "there are none");
  }
};

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  NamedProvider provider{*io.provider};
  Server server;
  kj::HttpServer http{provider.getTimer(), server.table, server};
  kj::Own<kj::ConnectionReceiver> port = provider.getNetwork().parseAddress("127.0.0.1", 0)
      .wait(io.waitScope)->listen();
  kj::String here = kj::str("127.0.0.1:", port->getPort());
  kj::Promise<void> serving = http.listenHttp(*port).eagerlyEvaluate(nullptr);

  SourceOptions optionsFor(kj::StringPtr gateway) {
    SourceOptions options;
    options.gateways = kj::heapArray<kj::String>(1);
    options.gateways[0] = kj::str(gateway);
    return options;
  }
  // What comes of asking the first source for the block.
  kj::String ask(ImageSources& sources) {
    auto cid = Cid::of(Cid::RAW, HELLO.asBytes());
    auto tooLong = provider.getTimer().afterDelay(20 * kj::SECONDS).then(
        []() { return kj::str("nothing"); });
    return sources.getBlocks()[0]->fetch(cid).then(
        [](kj::Array<const kj::byte> block) { return kj::heapString(block.asChars()); },
        [](kj::Exception&& e) { return kj::str(e.getDescription()); })
        .exclusiveJoin(kj::mv(tooLong)).wait(io.waitScope);
  }
};

KJ_TEST("a gateway is reached wherever the operator says; it leads to public addresses alone") {
  Fixture f;
  f.provider.names.insert(kj::str("gateway.example"), kj::str(f.here));
  f.provider.names.insert(kj::str("inside.example"), kj::str(f.here));
  ImageSources sources(f.optionsFor("http://gateway.example"), f.provider);
  KJ_EXPECT(f.ask(sources) == HELLO);
  f.server.location = kj::str("/there");
  KJ_EXPECT(f.ask(sources) == HELLO);
  KJ_EXPECT(f.server.asked == 3);
  for (auto& host: {kj::str(f.here), kj::str("inside.example"), kj::str("localhost"),
                   kj::str("127.1.2.3"), kj::str("0.0.0.0"), kj::str("10.0.0.1"),
                   kj::str("172.16.0.1"), kj::str("192.168.1.1"), kj::str("169.254.169.254"),
                   kj::str("100.64.0.1"), kj::str("192.88.99.1"), kj::str("198.18.0.1"),
                   kj::str("198.19.255.1"), kj::str("[::1]"), kj::str("[::]"),
                   kj::str("[::ffff:127.0.0.1]"), kj::str("[fc00::1]"), kj::str("[fe80::1]"),
                   kj::str("[64:ff9b::7f00:1]"), kj::str("[64:ff9b:1::1]"),
                   kj::str("[2002:7f00:1::1]"), kj::str("unix-abstract:1")}) {
    f.server.location = kj::str("http://", host, "/there");
    f.server.asked = 0;
    auto why = f.ask(sources);
    KJ_EXPECT(why == kj::str("it redirects to http://", host, ", which is no public address"), why);
    KJ_EXPECT(f.server.asked == 1, host);
  }
}

KJ_TEST("one on the operator's own network leads to whatever is there") {
  Fixture f;
  f.provider.names.insert(kj::str("inside.example"), kj::str(f.here));
  ImageSources sources(f.optionsFor(kj::str("http://", f.here)), f.provider);
  f.server.location = kj::str("http://inside.example/there");
  KJ_EXPECT(f.ask(sources) == HELLO);
  KJ_EXPECT(f.server.asked == 2);
}

KJ_TEST("peers are asked first, then gateways as they are listed, then the IPFS node") {
  Fixture f;
  SourceOptions options;
  options.gateways = kj::heapArray<kj::String>(2);
  options.gateways[0] = kj::str("https://one.example");
  options.gateways[1] = kj::str("https://another.example");
  options.ipfs = kj::str("http://127.0.0.1:5001");
  ImageSources sources(options, f.provider, kj::Own<BlockSource>(kj::heap<NoPeers>()));
  auto names = KJ_MAP(source, sources.getBlocks()) { return kj::str(source->getName()); };
  KJ_EXPECT(kj::strArray(names, ", ") == "peers, gateway https://one.example, "
            "gateway https://another.example, IPFS node http://127.0.0.1:5001");
  auto namers = KJ_MAP(source, sources.getNames()) { return kj::str(source->getName()); };
  KJ_EXPECT(kj::strArray(namers, ", ") == "gateway https://one.example, "
            "gateway https://another.example, IPFS node http://127.0.0.1:5001");
}

}  // namespace
}  // namespace ww
