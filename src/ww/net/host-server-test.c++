// Host over swarms in memory: what it tells, whom it dials, and what it refuses.
#include <ww/net/host-server.h>

#include <kj/encoding.h>
#include <kj/test.h>
#include <ww/epoch/head-watch.h>
#include <ww/net/identity.h>
#include <ww/net/loopback-swarm.h>

namespace ww {
namespace {

PeerId newPeerId() { return Identity::generate().getPeerId().clone(); }

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  StaticHeadSource source;
  HeadWatch watch{source};
  kj::Own<Lease> lease = watch.issue();
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  LoopbackNetwork network;
  kj::Vector<kj::uint> refusals;  // of dials: the limits
  LoopbackSwarm here{network, newPeerId()}, there{network, newPeerId()};

  peer::Host::Client serve(Swarm& swarm, DialPolicy policy = {}) {
    auto dials = kj::refcounted<DialCount>(policy, timer, [this](kj::uint limit) {
      refusals.add(limit);
    });
    return kj::heap<HostServer>(*lease, swarm, *dials,
                                peer::Executor::Client(KJ_EXCEPTION(FAILED, "no executor here")));
  }

  using Bytes = kj::ArrayPtr<const kj::byte>;
  kj::Promise<void> dial(peer::Host::Client host, Bytes id, kj::ArrayPtr<const Bytes> addrs) {
    auto request = host.connectRequest();
    request.setPeerId(id);
    auto list = request.initAddrs(addrs.size());
    for (size_t i = 0; i < addrs.size(); i++) list.set(i, addrs[i]);
    return request.send().ignoreResult();
  }
  kj::String connect(peer::Host::Client host, Bytes id, kj::ArrayPtr<const Bytes> addrs) {
    kj::String reason;
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { dial(host, id, addrs).wait(waitScope); })) {
      reason = kj::str(e->getDescription());
    }
    return reason;
  }
  kj::String connectTo(peer::Host::Client host, Bytes id, Bytes addr) {
    return connect(kj::mv(host), id, kj::arrayPtr(&addr, 1));
  }
};

KJ_TEST("a guest that takes it for a Membrane hears what it has") {
  Fixture f;
  NoNetwork swarm(newPeerId());
  auto membrane = f.serve(swarm).castAs<stem::Membrane<>>();
  KJ_EXPECT_THROW_MESSAGE("it is a Host: `ww run` boots it with a Membrane",
                          membrane.graftRequest().send().wait(f.waitScope));
  KJ_EXPECT_THROW(UNIMPLEMENTED, membrane.graftRequest().send().wait(f.waitScope));
}

KJ_TEST("a node on its own says so") {
  Fixture f;
  NoNetwork swarm(newPeerId());
  auto host = f.serve(swarm);
  auto id = host.idRequest().send().wait(f.waitScope);
  KJ_EXPECT(id.getPeerId() == swarm.getPeerId().asBytes());
  KJ_EXPECT(host.addrsRequest().send().wait(f.waitScope).getAddrs().size() == 0);
  KJ_EXPECT(host.peersRequest().send().wait(f.waitScope).getPeers().size() == 0);
  auto other = newPeerId();
  KJ_EXPECT(f.connect(host, other.asBytes(), nullptr) ==
            kj::str("cannot connect to ", other.toText(), ": this node has no network"));
}

KJ_TEST("two nodes find each other, and both know") {
  Fixture f;
  auto host = f.serve(f.here);
  auto addr = f.there.getListenAddrs();
  KJ_EXPECT(host.addrsRequest().send().wait(f.waitScope).getAddrs()[0] ==
            f.here.getListenAddrs()[0].asBytes());
  KJ_EXPECT(f.connectTo(host, f.there.getPeerId().asBytes(), addr[0].asBytes()) == "");
  auto response = host.peersRequest().send().wait(f.waitScope);
  auto peers = response.getPeers();
  KJ_ASSERT(peers.size() == 1);
  KJ_EXPECT(peers[0].getPeerId() == f.there.getPeerId().asBytes());
  KJ_EXPECT(peers[0].getAddrs()[0] == addr[0].asBytes());
  KJ_EXPECT(f.there.isConnected(f.here.getPeerId()));
  // Again: at once, and without another dial.
  KJ_EXPECT(f.connect(host, f.there.getPeerId().asBytes(), nullptr) == "");
  KJ_EXPECT(f.here.dialCount() == 1);
}

KJ_TEST("a peer that goes is a peer no more") {
  Fixture f;
  auto host = f.serve(f.here);
  {
    LoopbackSwarm guest(f.network, newPeerId());
    auto addr = guest.getListenAddrs();
    KJ_EXPECT(f.connectTo(host, guest.getPeerId().asBytes(), addr[0].asBytes()) == "");
  }
  KJ_EXPECT(host.peersRequest().send().wait(f.waitScope).getPeers().size() == 0);
}

KJ_TEST("a failed dial names each address and why") {
  Fixture f;
  auto host = f.serve(f.here);
  auto nobody = Multiaddr::memory(99);
  auto there = f.there.getListenAddrs();
  auto wanted = newPeerId();
  Fixture::Bytes addrs[] = {nobody.asBytes(), there[0].asBytes()};
  KJ_EXPECT(f.connect(host, wanted.asBytes(), addrs) ==
            kj::str("cannot connect to ", wanted.toText(), ": /memory/99: nobody listens there; ",
                    there[0].toText(), ": another peer answers there: ",
                    f.there.getPeerId().toText()));
}

KJ_TEST("what is malformed is named") {
  Fixture f;
  auto host = f.serve(f.here);
  auto id = newPeerId();
  kj::byte junk[] = {4, 1};
  KJ_EXPECT(f.connect(host, junk, nullptr) == "connect: peerId is no peer id (2 bytes)");
  auto good = Multiaddr::memory(1);
  Fixture::Bytes addrs[] = {good.asBytes(), junk};
  KJ_EXPECT(f.connect(host, id.asBytes(), addrs) ==
            "connect: addrs[1] is no multiaddr: truncated in /ip4");
  KJ_EXPECT(f.here.dialCount() == 0);
}

KJ_TEST("private places are denied before anything is dialled, unless the operator allows them") {
  Fixture f;
  auto id = newPeerId();
  auto loopback = kj::decodeHex("047f0000010607e4"_kj);
  KJ_EXPECT(f.connectTo(f.serve(f.here), id.asBytes(), loopback) ==
            "denied: connect: addrs[0] (/ip4/127.0.0.1/tcp/2020) is not public but loopback: "
            "a cell may not dial it");
  KJ_EXPECT(f.here.dialCount() == 0);
  DialPolicy policy;
  policy.allowPrivate = true;
  auto reason = f.connectTo(f.serve(f.here, policy), id.asBytes(), loopback);
  KJ_EXPECT(reason.startsWith("cannot connect to "), reason);
  KJ_EXPECT(f.here.dialCount() == 1);
}

KJ_TEST("a session's dials are counted: at a time, in a minute, in a call") {
  Fixture f;
  DialPolicy policy;
  policy.maxPending = 2;
  policy.maxPerMinute = 3;
  policy.maxAddrs = 1;
  auto host = f.serve(f.here, policy);
  auto id = newPeerId();
  auto addr = Multiaddr::memory(99);
  Fixture::Bytes one[] = {addr.asBytes()}, two[] = {addr.asBytes(), addr.asBytes()};
  KJ_EXPECT(f.connect(host, id.asBytes(), two) ==
            "overloaded: addrs: 2 in one call; the limit is 1");
  {
    auto first = f.dial(host, id.asBytes(), one), second = f.dial(host, id.asBytes(), one);
    KJ_EXPECT(f.connect(host, id.asBytes(), one) ==
              "overloaded: dials: 2 are pending");
    KJ_EXPECT_THROW_MESSAGE("nobody listens", first.wait(f.waitScope));
    KJ_EXPECT_THROW_MESSAGE("nobody listens", second.wait(f.waitScope));
  }
  KJ_EXPECT(f.connect(host, id.asBytes(), one).startsWith("cannot connect"));
  KJ_EXPECT(f.connect(host, id.asBytes(), one) ==
            "overloaded: dials: 3 in this minute");
  KJ_EXPECT(f.refusals.size() == 2 && f.refusals[0] == 2 && f.refusals[1] == 3);
  f.timer.advanceTo(f.timer.now() + 60 * kj::SECONDS);
  KJ_EXPECT(f.connect(host, id.asBytes(), one).startsWith("cannot connect"));
}

KJ_TEST("after the session nothing is told and nobody dialled") {
  Fixture f;
  auto host = f.serve(f.here);
  f.watch.store({1, nullptr, 0});
  auto id = newPeerId();
  KJ_EXPECT(f.connectTo(host, id.asBytes(), Multiaddr::memory(99).asBytes())
                .startsWith("staleEpoch: "));
  KJ_EXPECT_THROW_MESSAGE("staleEpoch: ", host.idRequest().send().wait(f.waitScope));
  KJ_EXPECT(f.here.dialCount() == 0);
}

}  // namespace
}  // namespace ww
