#include <ww/node/client-links.h>

#include <arpa/inet.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize-async.h>
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

// The machine that a peer comes from, as far as its address tells: /ip4/192.0.2.1. Of IPv6 one
// party has 64 bits to itself.
kj::String placeOf(const PeerStream& peer) {
  auto& from = peer.from;
  kj::uint parts = 0;
  for (size_t i = 0; i < from.size(); i++) {
    if (from[i] == '/' && ++parts == 3) return networkOf(kj::str(from.slice(0, i)));
  }
  return kj::str(from);
}

void addTo(kj::HashMap<kj::String, kj::uint>& counts, kj::StringPtr key, int difference) {
  auto& count = counts.findOrCreate(key, [&]() {
    return kj::HashMap<kj::String, kj::uint>::Entry{kj::str(key), 0};
  });
  count += difference;
  if (count == 0) counts.erase(key);
}

// The oldest of the place that has most. Not to be called where there are none.
template <typename T>
T& findSurplus(kj::ArrayPtr<T* const> all) {
  kj::HashMap<kj::String, kj::uint> counts;
  for (auto item: all) addTo(counts, item->place(), 1);
  kj::uint most = 0;
  for (auto& entry: counts) most = kj::max(most, entry.value);
  for (auto item: all) {
    if (KJ_ASSERT_NONNULL(counts.find(item->place())) == most) return *item;
  }
  KJ_UNREACHABLE;
}

template <typename T>
void removeFrom(kj::Vector<T*>& all, T* item) {
  kj::Vector<T*> others;
  for (auto other: all) {
    if (other != item) others.add(other);
  }
  all = kj::mv(others);
}

}  // namespace

namespace {

// For a peer to take a few bytes.
constexpr kj::Duration TO_TELL = 1 * kj::SECONDS;

// What an RPC system says before it hangs up. Nothing is read.
kj::Promise<void> tellRefused(kj::AsyncOutputStream& stream) {
  capnp::MallocMessageBuilder message;
  auto why = overloaded("links: this key has too many that have yet to graft; they are waited for, "
                        "and this one was one too many, or waited too long");
  auto abort = message.initRoot<capnp::rpc::Message>().initAbort();
  abort.setType(capnp::rpc::Exception::Type::OVERLOADED);
  abort.setReason(why.getDescription());
  co_await capnp::writeMessage(stream, message).catch_([](kj::Exception&&) {});
}

}  // namespace

class ClientLinks::Tally {
 public:
  kj::uint of(kj::StringPtr who) const {
    return counts.find(who).map([](const kj::uint& n) { return n; }).orDefault(0);
  }
  void add(kj::StringPtr who) { addTo(counts, who, 1); }
  void remove(kj::StringPtr who) { addTo(counts, who, -1); }

 private:
  kj::HashMap<kj::String, kj::uint> counts;  // none is 0
};

// A stream for which there is no place yet.
struct ClientLinks::Queued {
  Queued(ClientLinks& owner, const PeerStream& stream)
      : owner(owner), peer(stream.peer.toText()), at(placeOf(stream)) {
    owner.queue.add(this);
  }
  ~Queued() noexcept(false) {
    removeFrom(owner.queue, this);
    if (hasPlace) owner.ungrafted->remove(peer);
  }
  KJ_DISALLOW_COPY_AND_MOVE(Queued);

  kj::StringPtr place() const { return at; }

  // No longer waits: its place among those who have yet to graft is kept for it, or it goes.
  void serve() {
    removeFrom(owner.queue, this);
    owner.ungrafted->add(peer);
    hasPlace = true;
    turn.fulfiller->fulfill();
  }
  void refuse() {
    removeFrom(owner.queue, this);
    turn.fulfiller->fulfill();
  }

  ClientLinks& owner;
  kj::String peer, at;
  bool hasPlace = false;
  kj::PromiseFulfillerPair<void> turn = kj::newPromiseAndFulfiller<void>();
};

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
                            owner.timer, owner.limits.after);
    rpc->onHits([this](kj::StringPtr limit) {
      KJ_IF_MAYBE(kind, findLimitKind(limit)) {
        auto& limits = grafted ? this->owner.limits.after : this->owner.limits.first;
        this->owner.node.getHits().hit(*kind, {0, 0, name()}, valueOf(*kind, limits), hits);
      }
    });
    if (isOwner) {
      grafted = true;
    } else {
      rpc->setLimits(owner.limits.first);
      expectGraft();
      isWaiting = true;
      owner.waiting.add(this);
      owner.ungrafted->add(peerId());
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
  kj::Promise<void> onEnd() { return rpc->onEnd(); }

  // Resolves when it has to make room for another.
  kj::Promise<void> onPushedOut() { return kj::mv(pushedOut.promise); }
  void pushOut() {
    stopWaiting();
    pushedOut.fulfiller->fulfill();
  }

  kj::String place() const { return placeOf(KJ_ASSERT_NONNULL(origin)); }
  kj::String name() const {
    KJ_IF_MAYBE(peer, origin) return kj::str(peer->peer.toText(), " at ", peer->from);
    return kj::str("the owner");
  }

  // Sessions before the link: what they end tells its clients why, and keeps its grace.
  void close() {
    closed = true;
    stopWaiting();
    for (auto& key: keys) owner.grafted->remove(key);
    --owner.links;
    for (auto& session: sessions) {
      session.protection = nullptr;  // a session may outlive the swarm
      owner.node.endWithLink(session.entry);
    }
    late = nullptr;
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
      ending = entry.getLease().onEnded().then([this]() {
        protection = nullptr;
        stands = false;
        this->link->requireSession();
      }).eagerlyEvaluate([](kj::Exception&&) {});
    }
    ~Session() noexcept(false) {
      link->sessions.remove(*this);
      link->requireSession();
    }
    KJ_DISALLOW_COPY_AND_MOVE(Session);
    kj::Own<Link> link;
    SessionList::Entry& entry;
    bool stands = true;
    kj::Own<void> protection;  // of the peer's connections, while it stands
    kj::Promise<void> ending = nullptr;
    kj::ListLink<Session> listLink;
  };

  void onSession(SessionList::Entry& session) {
    if (closed) kj::throwFatalException(ended("the link of this session is gone"));
    KJ_IF_MAYBE(key, session.getOrigin().key) countKey(*key);
    late = nullptr;
    session.getLease().attach(kj::heap<Session>(kj::addRef(*this), session));
  }

  // Links count for the key that signed: a peer id costs nothing.
  void countKey(const PublicKey& key) {
    auto name = kj::encodeHex(key.bytes);
    for (auto& known: keys) {
      if (known == name) return;
    }
    auto most = owner.limits.linksOfKey;
    if (owner.grafted->of(name) >= most) {
      owner.node.getHits().hit(LimitKind::LINKS, {0, 0, this->name()}, kj::str(most), hits);
      kj::throwFatalException(overloaded(kj::str("links: this key has ", most,
          " already, and there is no more; end one")));
    }
    owner.grafted->add(name);
    keys.add(kj::mv(name));
    if (grafted) return;
    stopWaiting();
    grafted = true;
    rpc->setLimits(owner.limits.after);
  }

  void expectGraft() {
    late = owner.timer.afterDelay(owner.limits.toGraft).then([this]() {
      owner.logger.log(LogLevel::DEBUG, "a client did not graft in time; its link is ended",
                       {{"client", name()}});
      pushOut();
    }).eagerlyEvaluate(nullptr);
  }

  // A session is no more: it was dropped, or revoked, or its epoch is over. What the client is
  // sending meanwhile is still taken, or it would not hear why.
  void requireSession() {
    if (closed || origin == nullptr) return;
    for (auto& session: sessions) {
      if (session.stands) return;
    }
    expectGraft();
  }

  void stopWaiting() {
    if (!isWaiting) return;
    isWaiting = false;
    removeFrom(owner.waiting, this);
    owner.ungrafted->remove(peerId());
    owner.nextTurn(peerId());
  }

  kj::String peerId() const { return KJ_ASSERT_NONNULL(origin).peer.toText(); }

  kj::Own<CellGroup> group;
  kj::Maybe<PeerStream> origin;  // none: the owner's
  ClientLinks& owner;            // until close()
  EarlyGraftPolicy policy;
  kj::Own<RpcLink> rpc;
  kj::List<Session, &Session::listLink> sessions;
  kj::PromiseFulfillerPair<void> pushedOut = kj::newPromiseAndFulfiller<void>();
  CellHits hits;                     // of limits of its link
  kj::Vector<kj::String> keys;       // that it grafted by, in hexadecimal
  kj::Promise<void> late = nullptr;  // a graft that is waited for
  bool isWaiting = false;            // for its first graft
  bool grafted = false;              // once
  bool closed = false;
};

LinkLimits ClientLimits::beforeGraft() {
  LinkLimits limits;
  limits.frame.words = (64 << 10) / sizeof(capnp::word);
  limits.quota.calls = 16;
  limits.quota.heldBytes = 1 << 20;
  limits.quota.answers = 64;
  limits.quota.tolerance = 1;
  limits.quota.sentCaps = 16;
  limits.unsentBytes = 1 << 20;
  return limits;
}

// What a client is sent is small: pieces of output, lists, answers.
LinkLimits ClientLimits::afterGraft() {
  auto limits = linkLimits();
  limits.unsentBytes = 16 << 20;
  return limits;
}

ClientLinks::ClientLinks(Node& node, Swarm& swarm, GraftPolicy& policy, kj::Timer& timer,
                         Logger& logger, ClientLimits limits)
    : node(node), swarm(swarm), policy(policy), timer(timer), logger(logger), limits(limits),
      ungrafted(kj::heap<Tally>()), grafted(kj::heap<Tally>()), tasks(*this) {}

ClientLinks::~ClientLinks() noexcept(false) {}

void ClientLinks::serveOwner(kj::Own<kj::AsyncIoStream> stream) {
  tasks.add(run(kj::refcounted<Link>(*this, nullptr, kj::mv(stream))));
}

void ClientLinks::servePeer(PeerStream peer) {
  if (ungrafted->of(peer.peer.toText()) >= limits.ungraftedOfPeer) {
    tasks.add(enqueue(kj::mv(peer)));
  } else {
    begin(kj::mv(peer));
  }
}

void ClientLinks::begin(PeerStream peer) {
  if (waiting.size() >= limits.ungrafted) findSurplus(waiting.asPtr().asConst()).pushOut();
  auto stream = kj::mv(peer.stream);
  tasks.add(run(kj::refcounted<Link>(*this, kj::mv(peer), kj::mv(stream))));
}

kj::Promise<void> ClientLinks::enqueue(PeerStream peer) {
  kj::uint ofPeer = 0;
  for (auto other: queue) ofPeer += other->peer == peer.peer.toText();
  bool served = false;
  if (ofPeer < limits.queuedOfPeer) {
    if (queue.size() >= limits.queued) {
      findSurplus(queue.asPtr().asConst()).refuse();
    }
    Queued place(*this, peer);
    co_await place.turn.promise.exclusiveJoin(timer.afterDelay(limits.toGraft));
    served = place.hasPlace;
  }
  if (served) {
    begin(kj::mv(peer));
  } else {
    co_await tellRefused(*peer.stream).exclusiveJoin(timer.afterDelay(TO_TELL));
    logger.log(LogLevel::DEBUG, "too many links of a peer that have not grafted; one is refused",
               {{"peer", peer.peer.toText()}, {"from", kj::str(peer.from)}});
  }
}

void ClientLinks::nextTurn(kj::StringPtr peer) {
  for (auto queued: queue) {
    if (queued->peer == peer) return queued->serve();
  }
}

kj::Promise<void> ClientLinks::run(kj::Own<Link> link) {
  KJ_DEFER(link->close());
  logger.log(LogLevel::DEBUG, "a client is here", {{"client", link->name()}});
  link->askEarly();
  auto flushed = link->onEnd().then([this]() { return timer.afterDelay(limits.toFlush); });
  co_await link->onDisconnect().catch_([](kj::Exception&&) {})
      .exclusiveJoin(link->onPushedOut()).exclusiveJoin(kj::mv(flushed));
  logger.log(LogLevel::DEBUG, "a client is gone", {{"client", link->name()}});
}

void ClientLinks::taskFailed(kj::Exception&& exception) {
  logger.log(LogLevel::ERROR, "a client's link failed",
             {{"cause", kj::str(exception.getDescription())}});
}

}  // namespace ww
