#include <ww/node/client.h>

#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/membrane/key-signer.h>
#include <ww/net/libp2p-swarm.h>
#include <ww/node/client-links.h>
#include <ww/node/local-endpoint.h>

namespace ww {
namespace {

class LocalClient final: public NodeClient {
 public:
  explicit LocalClient(kj::Own<kj::AsyncIoStream> raw)
      : stream(kj::mv(raw)), rpc(*stream) {}

  GraftRequest graftRequest() override {
    return rpc.bootstrap().castAs<stem::Membrane<membrane::WetwareSession>>().graftRequest();
  }
  bool mustGraftFirst() const override { return false; }
  kj::Promise<void> onDisconnect() override { return rpc.onDisconnect(); }

 private:
  kj::Own<kj::AsyncIoStream> stream;
  capnp::TwoPartyClient rpc;
};

class RemoteClient final: public NodeClient {
 public:
  RemoteClient(kj::Own<Libp2pSwarm> swarm, kj::Own<kj::AsyncIoStream> raw,
               stem::Signer::Client signer)
      : swarm(kj::mv(swarm)), stream(kj::mv(raw)), rpc(*stream),
        signer(kj::mv(signer)) {}

  GraftRequest graftRequest() override {
    auto request =
        rpc.bootstrap().castAs<stem::Membrane<membrane::WetwareSession>>().graftRequest();
    request.setSigner(signer);
    return request;
  }
  bool mustGraftFirst() const override { return true; }
  kj::Promise<void> onDisconnect() override { return rpc.onDisconnect(); }

 private:
  kj::Own<Libp2pSwarm> swarm;
  kj::Own<kj::AsyncIoStream> stream;
  capnp::TwoPartyClient rpc;
  stem::Signer::Client signer;
};

kj::Promise<kj::Own<NodeClient>> connectRemote(kj::AsyncIoContext& io, ClientOptions options,
                                               Identity identity, Logger& logger) {
  auto parsed = parseMultiaddrText(options.target);
  KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) {
    kj::throwFatalException(badInput(kj::str("--on ", options.target, ": no multiaddr: ",
                                             *problem)));
  }
  auto& addr = parsed.get<Multiaddr>();
  auto found = addr.findPeer();
  if (found == nullptr) {
    kj::throwFatalException(badInput(kj::str("--on ", options.target, ": it does not say who is "
        "there, and nothing is signed for a stranger; it must end in /p2p/PEERID")));
  }
  auto peer = kj::mv(KJ_ASSERT_NONNULL(found));
  Libp2pOptions network;
  network.dht = DhtMode::CLIENT;
  network.mdns = false;
  network.dialTimeout = options.timeout;
  auto swarm = kj::heap<Libp2pSwarm>(identity, kj::mv(network), io.provider->getTimer(), logger);
  co_await swarm->connect(peer, kj::arrayPtr(&addr, 1), DialScope::ANYWHERE);
  auto stream = co_await swarm->open(peer, RPC_PROTOCOL);
  auto signer = makeSigner(SecretKey(identity.getKey().getSeed()), peer.toText());
  co_return kj::heap<RemoteClient>(kj::mv(swarm), kj::mv(stream), kj::mv(signer));
}

bool isMultiaddr(kj::StringPtr target) {
  constexpr kj::StringPtr STARTS[] = {"/ip4/"_kj, "/ip6/"_kj, "/dns/"_kj, "/dns4/"_kj,
                                      "/dns6/"_kj, "/dnsaddr/"_kj, "/p2p/"_kj};
  for (auto start: STARTS) {
    if (target.startsWith(start)) return true;
  }
  return false;
}

}  // namespace

kj::Exception NodeClient::linkGone(kj::Exception&& exception) {
  // Something else may be disconnected, which the node has to say.
  if (exception.getType() != kj::Exception::Type::DISCONNECTED ||
      exception.getDescription().startsWith("remote exception: ")) {
    return kj::mv(exception);
  }
  return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                       kj::str("the link to the node is gone: ", exception.getDescription()));
}

kj::Promise<kj::Own<NodeClient>> connectToNode(kj::AsyncIoContext& io, ClientOptions options,
                                               kj::Function<Identity()> identity,
                                               Logger& logger) {
  if (isMultiaddr(options.target)) {
    return connectRemote(io, kj::mv(options), identity(), logger);
  }
  return connectLocal(*io.lowLevelProvider, options.target).then(
      [](kj::Own<kj::AsyncIoStream>&& stream) -> kj::Own<NodeClient> {
    return kj::heap<LocalClient>(kj::mv(stream));
  });
}

}  // namespace ww
