#include <ww/node/client-links.h>

#include <arpa/inet.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <kj/list.h>
#include <ww/base/error.h>
#include <ww/membrane/early-graft-policy.h>

namespace ww {
namespace {

constexpr kj::StringPtr IP6 = "/ip6/"_kj;

// The first half of an IPv6 address, whole others.
kj::String networkOf(kj::String place) {
  in6_addr address;
  if (!place.startsWith(IP6) ||
      inet_pton(AF_INET6, place.slice(IP6.size()).cStr(), &address) != 1) {
    return place;
  }
  return kj::str(IP6, kj::encodeHex(kj::arrayPtr(address.s6_addr, 8)));
}

}  // namespace

// One link, for as long as somebody holds its Membrane.
class ClientLinks::Link final: public kj::Refcounted {
 public:
  Link(ClientLinks& owner, kj::Maybe<PeerStream> from, kj::Own<kj::AsyncIoStream> raw)
      : group(owner.node.makeClientGroup()), origin(kj::mv(from)), owner(owner),
        policy(owner.policy) {
    ++owner.links;
    auto isOwner = origin == nullptr;
    MembraneParts parts{isOwner ? static_cast<GraftPolicy&>(owner.openPolicy) : policy,
                        isOwner ? HolderKind::OWNER : HolderKind::KEY,
                        isOwner ? kj::String() : name()};
    parts.dial.allowPrivate = isOwner || owner.node.dialsPrivate();
    parts.limits.pending = isOwner ? kj::maxValue : 1;
    parts.onSession = [this, self = kj::addRef(*this)](SessionList::Entry& session) mutable {
      onSession(session);
    };
    rpc = kj::heap<RpcLink>(kj::mv(raw), owner.node.serveMembrane(*group, kj::mv(parts)),
                            owner.limits.after);
    if (isOwner) {
      grafted = true;
    } else {
      rpc->setLimits(owner.limits.first);
      isWaiting = true;
      owner.waiting.add(this);
      countUngrafted(1);
    }
  }
  ~Link() noexcept(false) {}
  KJ_DISALLOW_COPY_AND_MOVE(Link);

  // Asks the client already who it is: see early-graft-policy.h.
  void askEarly() {
    if (grafted) return;
    policy.ask(rpc->bootstrap().castAs<stem::Signer>(), owner.node.getHeadWatch().seq());
  }

  kj::Promise<void> onDisconnect() { return rpc->onDisconnect(); }
  bool hasGrafted() const { return grafted; }

  // Resolves when it has to make room for another.
  kj::Promise<void> onPushedOut() { return kj::mv(pushedOut.promise); }
  void pushOut() {
    stopWaiting();
    pushedOut.fulfiller->fulfill();
  }

  // The machine it comes from, as far as its address tells: /ip4/192.0.2.1. Of IPv6 one party has
  // 64 bits to itself.
  kj::String place() const {
    auto& from = KJ_ASSERT_NONNULL(origin).from;
    kj::uint parts = 0;
    for (size_t i = 0; i < from.size(); i++) {
      if (from[i] == '/' && ++parts == 3) return networkOf(kj::str(from.slice(0, i)));
    }
    return kj::str(from);
  }
  kj::String name() const {
    KJ_IF_MAYBE(peer, origin) return kj::str(peer->peer.toText(), " at ", peer->from);
    return kj::str("the owner");
  }

  // Sessions before the link: what they end tells its clients why, and keeps its grace.
  void close() {
    closed = true;
    stopWaiting();
    grafted = true;
    --owner.links;
    for (auto& session: sessions) {
      session.protection = nullptr;  // a session may outlive the swarm
      owner.node.endWithLink(session.entry);
    }
    rpc = nullptr;
  }

 private:
  // A session of this link, for as long as its lease lives.
  struct Session {
    Session(kj::Own<Link> link, SessionList::Entry& entry)
        : link(kj::mv(link)), entry(entry) {
      this->link->sessions.add(*this);
      KJ_IF_MAYBE(peer, this->link->origin) {
        protection = this->link->owner.swarm.protect(peer->peer);
      }
      ending = entry.getLease().onEnded().then([this]() { protection = nullptr; })
          .eagerlyEvaluate([](kj::Exception&&) {});
    }
    ~Session() noexcept(false) { link->sessions.remove(*this); }
    KJ_DISALLOW_COPY_AND_MOVE(Session);
    kj::Own<Link> link;
    SessionList::Entry& entry;
    kj::Own<void> protection;  // of the peer's connections, while the session stands
    kj::Promise<void> ending = nullptr;
    kj::ListLink<Session> listLink;
  };

  void onSession(SessionList::Entry& session) {
    if (closed) kj::throwFatalException(ended("the link of this session is gone"));
    session.getLease().attach(kj::heap<Session>(kj::addRef(*this), session));
    if (grafted) return;
    stopWaiting();
    grafted = true;
    rpc->setLimits(owner.limits.after);
  }

  void stopWaiting() {
    if (!isWaiting) return;
    isWaiting = false;
    kj::Vector<Link*> others;
    for (auto link: owner.waiting) {
      if (link != this) others.add(link);
    }
    owner.waiting = kj::mv(others);
    countUngrafted(-1);
  }

  void countUngrafted(int difference) {
    auto name = KJ_ASSERT_NONNULL(origin).peer.toText();
    auto& count = owner.ungraftedOf.findOrCreate(name, [&]() {
      return kj::HashMap<kj::String, kj::uint>::Entry{kj::str(name), 0};
    });
    count += difference;
    if (count == 0) owner.ungraftedOf.erase(name);
  }

  kj::Own<CellGroup> group;
  kj::Maybe<PeerStream> origin;  // none: the owner's
  ClientLinks& owner;            // until close()
  EarlyGraftPolicy policy;
  kj::Own<RpcLink> rpc;
  kj::List<Session, &Session::listLink> sessions;
  kj::PromiseFulfillerPair<void> pushedOut = kj::newPromiseAndFulfiller<void>();
  bool isWaiting = false;  // for a graft
  bool grafted = false;
  bool closed = false;
};

LinkLimits ClientLimits::beforeGraft() {
  LinkLimits limits;
  limits.frame.words = (64 << 10) / sizeof(capnp::word);
  limits.quota.calls = 16;
  limits.quota.heldBytes = 1 << 20;
  limits.quota.answers = 64;
  limits.quota.tolerance = 1;
  limits.quota.exports = 16;
  limits.unsentBytes = 1 << 20;
  return limits;
}

ClientLinks::ClientLinks(Node& node, Swarm& swarm, GraftPolicy& policy, kj::Timer& timer,
                         Logger& logger, ClientLimits limits)
    : node(node), swarm(swarm), policy(policy), timer(timer), logger(logger), limits(limits),
      tasks(*this) {}

ClientLinks::~ClientLinks() noexcept(false) {}

void ClientLinks::serveOwner(kj::Own<kj::AsyncIoStream> stream) {
  tasks.add(run(kj::refcounted<Link>(*this, nullptr, kj::mv(stream))));
}

void ClientLinks::servePeer(PeerStream peer) {
  auto ofPeer = ungraftedOf.find(peer.peer.toText()).map([](kj::uint& n) { return n; });
  if (ofPeer.orDefault(0) >= limits.ungraftedOfPeer) {
    logger.log(LogLevel::DEBUG, "too many links of a peer that have not grafted; one is refused",
               {{"peer", peer.peer.toText()}, {"from", kj::str(peer.from)}});
    return;
  }
  if (waiting.size() >= limits.ungrafted) makeRoom();
  auto stream = kj::mv(peer.stream);
  tasks.add(run(kj::refcounted<Link>(*this, kj::mv(peer), kj::mv(stream))));
}

void ClientLinks::makeRoom() {
  kj::HashMap<kj::String, kj::uint> counts;
  kj::uint most = 0;
  for (auto link: waiting) {
    auto& count = counts.findOrCreate(link->place(), [&]() {
      return kj::HashMap<kj::String, kj::uint>::Entry{link->place(), 0};
    });
    most = kj::max(most, ++count);
  }
  for (auto link: waiting) {
    if (KJ_ASSERT_NONNULL(counts.find(link->place())) == most) return link->pushOut();
  }
}

kj::Promise<void> ClientLinks::run(kj::Own<Link> link) {
  KJ_DEFER(link->close());
  logger.log(LogLevel::DEBUG, "a client is here", {{"client", link->name()}});
  link->askEarly();
  auto& ref = *link;
  auto inTime = timer.afterDelay(limits.toGraft).then([this, &ref]() -> kj::Promise<void> {
    if (ref.hasGrafted()) return kj::NEVER_DONE;
    logger.log(LogLevel::DEBUG, "a client did not graft in time; its link is ended",
               {{"client", ref.name()}});
    return kj::READY_NOW;
  });
  co_await link->onDisconnect().catch_([](kj::Exception&&) {}).exclusiveJoin(kj::mv(inTime))
      .exclusiveJoin(link->onPushedOut());
  logger.log(LogLevel::DEBUG, "a client is gone", {{"client", link->name()}});
}

void ClientLinks::taskFailed(kj::Exception&& exception) {
  logger.log(LogLevel::ERROR, "a client's link failed",
             {{"cause", kj::str(exception.getDescription())}});
}

}  // namespace ww
