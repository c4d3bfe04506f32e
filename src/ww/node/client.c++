#include <ww/node/client.h>

#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/membrane/key-signer.h>
#include <ww/net/libp2p-swarm.h>
#include <ww/node/bitswap.h>
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

struct ClientNetwork {
  kj::Own<Libp2pSwarm> swarm;
  kj::Maybe<kj::Own<Bitswap>> bitswap;  // where images are offered
};

class RemoteClient final: public NodeClient {
 public:
  RemoteClient(ClientNetwork network, kj::Own<kj::AsyncIoStream> raw, stem::Signer::Client signer)
      : network(kj::mv(network)), stream(kj::mv(raw)), rpc(*stream, signer),
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
  ClientNetwork network;
  kj::Own<kj::AsyncIoStream> stream;
  capnp::TwoPartyClient rpc;
  stem::Signer::Client signer;
};

ClientNetwork makeClientNetwork(kj::AsyncIoContext& io, ClientOptions& options,
                                const Identity& identity, const PeerId& target, bool mdns,
                                Logger& logger) {
  Libp2pOptions network;
  network.dht = DhtMode::CLIENT;
  network.mdns = mdns;
  network.dialTimeout = options.timeout;
  if (options.offered != nullptr) network.protocols = kj::heapArray<kj::StringPtr>({BITSWAP});
  auto& timer = io.provider->getTimer();
  ClientNetwork made{kj::heap<Libp2pSwarm>(identity, kj::mv(network), timer, io.unixEventPort,
                                           logger), nullptr};
  KJ_IF_MAYBE(offered, options.offered) {
    auto bitswap = kj::heap<Bitswap>(*made.swarm, offered->store, timer, logger,
                                     DialScope::PUBLIC);
    bitswap->onSent([target = target.clone(), told = kj::mv(offered->onSent)](
        const PeerId& to, const Cid& cid, size_t bytes) mutable {
      if (to == target) told(cid, bytes);
    });
    made.bitswap = kj::mv(bitswap);
  }
  return made;
}

kj::Own<NodeClient> makeRemoteClient(ClientNetwork network, kj::Own<kj::AsyncIoStream> stream,
                                     const Identity& identity, const PeerId& peer) {
  auto signer = makeSigner(SecretKey(identity.getKey().getSeed()), peer.toText());
  return kj::heap<RemoteClient>(kj::mv(network), kj::mv(stream), kj::mv(signer));
}

// As a person wrote it.
kj::String named(const ClientOptions& options) {
  return kj::str(options.option, ' ', shorten(options.target));
}

// A node does not take itself for a client.
void requireAnother(const ClientOptions& options, const Identity& identity, const PeerId& peer) {
  if (identity.getPeerId() != peer) return;
  kj::throwFatalException(badInput(kj::str(options.option, " ", peer.toText(), ": the key to prove "
      "is that node's own; name another with --identity (`ww keygen` makes one)",
      options.offered == nullptr
          ? ", or, where the node runs here, its data folder in place of its address"
          : "; where it is the node of this data folder, --to swarm pins the image there")));
}

kj::Promise<kj::Own<NodeClient>> connectRemote(kj::AsyncIoContext& io, ClientOptions options,
                                               Identity identity, Logger& logger) {
  auto parsed = parseMultiaddrText(options.target);
  KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) {
    kj::throwFatalException(badInput(kj::str(named(options), ": no multiaddr: ", *problem)));
  }
  auto& addr = parsed.get<Multiaddr>();
  auto found = addr.findPeer();
  if (found == nullptr) {
    kj::throwFatalException(badInput(kj::str(named(options), ": it does not say "
        "who is there, and nothing is signed for a stranger; it must end in /p2p/PEERID")));
  }
  KJ_IF_MAYBE(obstacle, addr.findObstacle(Multiaddr::Use::DIAL)) {
    kj::throwFatalException(badInput(kj::str(named(options), ": ", *obstacle)));
  }
  auto peer = kj::mv(KJ_ASSERT_NONNULL(found));
  requireAnother(options, identity, peer);
  auto network = makeClientNetwork(io, options, identity, peer, false, logger);
  auto stream = co_await network.swarm->reach(peer.clone(), kj::arr(kj::mv(addr)), RPC_PROTOCOL);
  co_return makeRemoteClient(kj::mv(network), kj::mv(stream), identity, peer);
}

void addAll(kj::Vector<Multiaddr>& to, capnp::List<capnp::Data>::Reader addrs) {
  for (auto bytes: addrs) {
    auto parsed = Multiaddr::parse(bytes);
    KJ_IF_MAYBE(addr, parsed.tryGet<Multiaddr>()) to.add(kj::mv(*addr));
  }
}

// Where the local node is connected to the peer, or, if it is that peer itself, listens.
kj::Promise<kj::Array<Multiaddr>> askLocalNode(kj::AsyncIoContext& io, kj::StringPtr local,
                                               const PeerId& peer) {
  kj::Vector<Multiaddr> addrs;
  LocalClient client(co_await connectLocal(*io.lowLevelProvider, local));
  auto host = client.graftRequest().send().getSession().getExtension().getHost();
  auto known = co_await host.peersRequest().send();
  for (auto other: known.getPeers()) {
    if (other.getPeerId() == peer.asBytes()) addAll(addrs, other.getAddrs());
  }
  auto own = co_await host.idRequest().send();
  if (own.getPeerId() == peer.asBytes()) {
    auto listening = co_await host.addrsRequest().send();
    addAll(addrs, listening.getAddrs());
  }
  co_return addrs.releaseAsArray();
}

kj::Promise<kj::Own<kj::AsyncIoStream>> findAndReach(Libp2pSwarm& swarm, PeerId peer,
                                                     kj::Array<Multiaddr> known,
                                                     kj::Maybe<kj::String>& problem) {
  if (known.size() > 0) {
    auto outcome = co_await swarm.reach(peer.clone(), kj::mv(known), RPC_PROTOCOL).then(
        [](kj::Own<kj::AsyncIoStream>&& s) -> kj::Maybe<kj::Own<kj::AsyncIoStream>> {
      return kj::mv(s);
    }, [&](kj::Exception&& e) -> kj::Maybe<kj::Own<kj::AsyncIoStream>> {
      problem = kj::str(e.getDescription());
      return nullptr;
    });
    KJ_IF_MAYBE(stream, outcome) co_return kj::mv(*stream);
  }
  co_await swarm.find(peer);
  co_return co_await swarm.reach(kj::mv(peer), nullptr, RPC_PROTOCOL);
}

// By its peer id alone: where the local node is connected to it, else where mDNS says it is.
kj::Promise<kj::Own<NodeClient>> connectPeer(kj::AsyncIoContext& io, ClientOptions options,
                                             PeerId peer, Identity identity, Logger& logger) {
  requireAnother(options, identity, peer);
  // A node that is stopped takes the link and says nothing: time is left to ask the network too.
  auto silent = io.provider->getTimer().afterDelay(options.timeout / 2).then([]() {
    return kj::Array<Multiaddr>();
  });
  auto known = co_await askLocalNode(io, options.local, peer).catch_([](kj::Exception&&) {
    return kj::Array<Multiaddr>();  // no node here
  }).exclusiveJoin(kj::mv(silent));
  auto network = makeClientNetwork(io, options, identity, peer, true, logger);
  kj::Maybe<kj::String> problem;
  auto late = io.provider->getTimer().afterDelay(options.timeout).then(
      [&]() -> kj::Promise<kj::Own<kj::AsyncIoStream>> {
    auto why = problem.map([](kj::String& text) {
      return kj::str("the local node is connected to it, but it is not to be reached from there: ",
                     text);
    }).orDefault([]() { return kj::str("no node here is connected to it"); });
    return badInput(kj::str(options.option, " ", peer.toText(), ": ", why, ", and nobody on the "
        "local network says where it is (", options.timeout, "); name its address: "
        "/ip4/IP/tcp/PORT/p2p/", peer.toText()));
  });
  auto stream = co_await findAndReach(*network.swarm, peer.clone(), kj::mv(known), problem)
      .exclusiveJoin(kj::mv(late));
  co_return makeRemoteClient(kj::mv(network), kj::mv(stream), identity, peer);
}

bool isMultiaddr(kj::StringPtr target) {
  constexpr kj::StringPtr STARTS[] = {"/ip4/"_kj, "/ip6/"_kj, "/dns/"_kj, "/dns4/"_kj,
                                      "/dns6/"_kj, "/dnsaddr/"_kj};
  for (auto start: STARTS) {
    if (target.startsWith(start)) return true;
  }
  return false;
}

}  // namespace

kj::Exception noAnswer(kj::Duration timeout) {
  return badInput(kj::str("the node took the link and did not answer within ", timeout,
                          ": it may be stopped or busy, or this key has links there that have not "
                          "grafted; --dial-timeout says how long to wait"));
}

kj::Exception NodeClient::linkGone(kj::Exception&& exception) {
  auto why = exception.getDescription();
  // Cap'n Proto's own check of what came, which tells a person nothing.
  if (why.startsWith("expected ")) {
    return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
        kj::str("the link to the node is gone: what came over it is not Cap'n Proto RPC; is it a "
                "node that answers there?"));
  }
  // Something else may be disconnected, which the node has to say.
  if (exception.getType() != kj::Exception::Type::DISCONNECTED ||
      why.startsWith("remote exception: ")) {
    return kj::mv(exception);
  }
  return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                       kj::str("the link to the node is gone: ", why));
}

kj::Promise<kj::Own<NodeClient>> connectToNode(kj::AsyncIoContext& io, ClientOptions options,
                                               kj::Function<Identity()> identity,
                                               Logger& logger) {
  if (isMultiaddr(options.target)) {
    return connectRemote(io, kj::mv(options), identity(), logger);
  }
  kj::StringPtr name = options.target;
  if (name.startsWith("/p2p/")) name = name.slice(5);
  KJ_IF_MAYBE(peer, PeerId::parseText(name)) {
    return connectPeer(io, kj::mv(options), kj::mv(*peer), identity(), logger);
  }
  // A folder or socket that is there, or is written like one.
  if (name.findFirst('/') == nullptr && access(options.target.cStr(), F_OK) < 0) {
    return badInput(kj::str(named(options), ": neither a multiaddr nor a peer "
        "id, and no folder or socket of that name is here; an address is written "
        "/ip4/IP/tcp/PORT/p2p/PEERID"));
  }
  return connectLocal(*io.lowLevelProvider, options.target).then(
      [](kj::Own<kj::AsyncIoStream>&& stream) -> kj::Own<NodeClient> {
    return kj::heap<LocalClient>(kj::mv(stream));
  });
}

}  // namespace ww
