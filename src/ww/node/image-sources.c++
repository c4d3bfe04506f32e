#include <ww/node/image-sources.h>

#include <ww/base/error.h>
#include <ww/image/gateway.h>
#include <ww/image/kubo.h>

namespace ww {
namespace {

// What KJ takes for public and is not: "this network", benchmarks, and what stands for addresses of
// version 4.
constexpr kj::StringPtr ALLOWED[] = {"public"_kj};
constexpr kj::StringPtr DENIED[] = {"0.0.0.0/8"_kj, "192.88.99.0/24"_kj, "198.18.0.0/15"_kj,
                                    "64:ff9b::/96"_kj, "64:ff9b:1::/48"_kj, "2002::/16"_kj};

class NoClient final: public kj::HttpClient {
 public:
  Request request(kj::HttpMethod, kj::StringPtr, const kj::HttpHeaders&,
                  kj::Maybe<uint64_t>) override { KJ_UNREACHABLE; }
};

// Of each option alone; what it says names none.
kj::Maybe<kj::String> problemOf(kj::Function<void(HttpReach)> make) {
  NoClient client;
  kj::HttpHeaderTable table;
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { make({client, client, table, timer}); })) {
    return kj::str(e->getDescription());
  }
  return nullptr;
}

}  // namespace

kj::Maybe<kj::String> findProblem(const SourceOptions& options) {
  for (auto& url: options.gateways) {
    KJ_IF_MAYBE(problem, problemOf([&](HttpReach reach) {
      GatewaySource(reach, url).getName();
    })) {
      return kj::str("--gateway: ", *problem);
    }
  }
  KJ_IF_MAYBE(address, options.ipfs) {
    KJ_IF_MAYBE(problem, problemOf([&](HttpReach reach) {
      KuboSource(reach, *address).getName();
    })) {
      return kj::str("--ipfs: ", *problem);
    }
  }
  return nullptr;
}

ImageSources::ImageSources(const SourceOptions& options, kj::AsyncIoProvider& io,
                           kj::Maybe<kj::Own<BlockSource>> peers)
    : timer(io.getTimer()), network(io.getNetwork()), tlsNetwork(tls.wrapNetwork(network)),
      publicNetwork(network.restrictPeers(ALLOWED, DENIED)),
      publicTlsNetwork(tls.wrapNetwork(*publicNetwork)),
      any(kj::newHttpClient(timer, table, network, *tlsNetwork)),
      publicOnly(kj::newHttpClient(timer, table, *publicNetwork, *publicTlsNetwork)) {
  KJ_IF_MAYBE(problem, ww::findProblem(options)) kj::throwFatalException(badInput(*problem));
  KJ_IF_MAYBE(source, peers) blocks.add(kj::mv(*source));
  for (auto& url: options.gateways) {
    auto gateway = kj::heap<GatewaySource>(reach(), url);
    names.add(gateway.get());
    blocks.add(kj::mv(gateway));
  }
  KJ_IF_MAYBE(address, options.ipfs) {
    auto node = kj::heap<KuboSource>(reach(), *address);
    names.add(node.get());
    blocks.add(kj::mv(node));
  }
}

HttpReach ImageSources::reach() { return {*any, *publicOnly, table, timer}; }

}  // namespace ww
