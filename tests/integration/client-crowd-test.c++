// Clients' links: how many there are, and who makes room for whom.
#include <capnp/rpc.capnp.h>
#include <capnp/serialize-async.h>
#include "client-fixture.h"

namespace ww {
namespace {

KJ_TEST("a link that does not graft within 10 s is ended; one that has is not") {
  Fixture f;
  Client idle(f.connect()), grafted(f.connect());
  auto session = grafted.graft(f.signer()).wait(f.node.waitScope);
  f.advance(9 * kj::SECONDS);
  KJ_EXPECT(!isGone(f, idle));
  f.advance(1 * kj::SECONDS);
  KJ_EXPECT(isGone(f, idle));
  f.advance(60 * kj::SECONDS);
  KJ_EXPECT(!isGone(f, grafted));
  KJ_EXPECT(f.links.count() == 1 && f.links.ungraftedCount() == 0);
}

KJ_TEST("2 ungrafted links a peer; others of it wait for their turn, 10 s, 16 of them") {
  Fixture f;
  Client first(f.connect()), second(f.connect());
  kj::Vector<kj::Own<Client>> others;
  for (int i = 0; i < 17; i++) others.add(kj::heap<Client>(f.connect()));
  auto why = f.failure(others[16]->graft(f.signer()).ignoreResult());
  KJ_EXPECT(contains(why, "overloaded: links: "), why);
  KJ_EXPECT(isGone(f, *others[16]));
  KJ_EXPECT(f.links.ungraftedCount() == 2 && f.links.queuedCount() == 16);
  auto next = others[0]->graft(f.signer()).eagerlyEvaluate(nullptr);
  KJ_EXPECT(!next.poll(f.node.waitScope));
  auto one = first.graft(f.signer()).wait(f.node.waitScope), two = next.wait(f.node.waitScope);
  f.node.waitScope.poll();
  KJ_EXPECT(f.links.count() == 4 && f.links.ungraftedCount() == 2 && f.links.queuedCount() == 14);

  f.advance(10 * kj::SECONDS);
  KJ_EXPECT(isGone(f, second) && isGone(f, *others[15]));
  f.advance(10 * kj::SECONDS);
  f.node.waitScope.poll();
  KJ_EXPECT(f.links.queuedCount() == 0 && f.links.count() == 2);
}

KJ_TEST("a link whose sessions were all revoked has 10 s again") {
  Fixture f;
  Client client(f.connect()), again(f.connect());
  auto one = client.graft(f.signer()).wait(f.node.waitScope);
  auto other = again.graft(f.signer()).wait(f.node.waitScope);
  f.advance(60 * kj::SECONDS);
  KJ_EXPECT(!isGone(f, client) && !isGone(f, again));
  f.node.heads.advance();
  f.node.waitScope.poll();
  f.advance(9 * kj::SECONDS);
  KJ_EXPECT(!isGone(f, client));
  other = again.graft(f.signer()).wait(f.node.waitScope);
  f.advance(1 * kj::SECONDS);
  KJ_EXPECT(isGone(f, client) && !isGone(f, again));
  f.advance(60 * kj::SECONDS);
  KJ_EXPECT(!isGone(f, again) && f.links.count() == 1);
}

KJ_TEST("and so has a link that dropped its session, or a removed key would keep its links") {
  Fixture f;
  Client client(f.connect());
  { auto dropped = client.graft(f.signer()).wait(f.node.waitScope); }
  f.node.waitScope.poll();
  f.advance(9 * kj::SECONDS);
  KJ_EXPECT(!isGone(f, client));
  f.advance(1 * kj::SECONDS);
  KJ_EXPECT(isGone(f, client));
}

KJ_TEST("as many at once as a key may have all graft; one more is told why it does not") {
  Fixture f;
  kj::Vector<kj::Own<Client>> clients;
  kj::Vector<kj::Promise<void>> grafts;
  for (kj::uint i = 0; i < ClientLimits().linksOfKey; i++) {
    auto other = Identity::generate();  // a peer id costs nothing
    clients.add(kj::heap<Client>(f.connect((i % 2 == 0 ? f.client : other).getPeerId())));
    grafts.add(clients.back()->graft(f.signer()).ignoreResult());
  }
  for (auto& graft: grafts) graft.wait(f.node.waitScope);
  Client beyond(f.connect());
  auto why = f.failure(beyond.graft(f.signer()).ignoreResult());
  KJ_EXPECT(contains(why, "overloaded: links: "), why);
  KJ_EXPECT(f.node.node.getHits().count(LimitKind::LINKS) == 1);
  Client other(f.connect(f.other.getPeerId()));
  other.graft(f.signer(f.other)).wait(f.node.waitScope);
  clients.removeLast();
  f.node.waitScope.poll();
  beyond.graft(f.signer()).wait(f.node.waitScope);
  KJ_EXPECT(f.links.count() == ClientLimits().linksOfKey + 1);
}

KJ_TEST("those that wait for their turn are 64 in all, of the address with most the fewest") {
  Fixture f;
  kj::Vector<kj::Own<Client>> clients;
  auto come = [&](const PeerId& peer, kj::uint count, kj::StringPtr from) {
    for (kj::uint i = 0; i < count; i++) {
      clients.add(kj::heap<Client>(f.connect(peer, from)));
      f.node.waitScope.poll();
    }
  };
  come(f.client.getPeerId(), 2, "/ip4/192.0.2.1/tcp/1");
  Client waits(f.connect(f.client.getPeerId(), "/ip4/192.0.2.1/tcp/1"));
  for (int i = 0; i < 10; i++) {
    come(Identity::generate().getPeerId(), 10, "/ip4/192.0.2.2/tcp/1");
  }
  KJ_EXPECT(f.links.queuedCount() == 64);
  KJ_EXPECT(!isGone(f, waits));
}

KJ_TEST("they are no more though many come at once") {
  Fixture f;
  kj::Vector<kj::Own<kj::AsyncIoStream>> streams;
  auto peers = KJ_MAP(i, kj::zeroTo(32)) { return Identity::generate(); };
  for (int i = 0; i < 10; i++) {
    for (auto& peer: peers) streams.add(f.connect(peer.getPeerId(), "/ip4/192.0.2.2/tcp/1"));
    KJ_EXPECT(f.links.queuedCount() <= 64);
  }
  f.node.waitScope.poll();
  KJ_EXPECT(f.links.queuedCount() == 64 && f.links.ungraftedCount() == 64);
}

KJ_TEST("a peer that has hung up and reads no more is waited for, but not for long") {
  Fixture f;
  auto stream = f.connect();
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(77);
  capnp::writeMessage(*stream, message).wait(f.node.waitScope);
  stream->shutdownWrite();
  f.node.waitScope.poll();
  KJ_EXPECT(f.links.count() == 1);
  f.advance(ClientLimits().toFlush);
  f.node.waitScope.poll();
  KJ_EXPECT(f.links.count() == 0);
}

KJ_TEST("64 ungrafted links in all; a grafted one makes room") {
  Fixture f;
  Client first(f.connect()), second(f.connect());
  first.graft(f.signer()).wait(f.node.waitScope);

  kj::Vector<kj::Own<Client>> others;
  while (f.links.ungraftedCount() < 64) {
    others.add(kj::heap<Client>(f.connect(Identity::generate().getPeerId())));
  }
  Client beyond(f.connect(Identity::generate().getPeerId()));
  KJ_EXPECT(!isGone(f, beyond) && isGone(f, second), "the oldest makes room");
  f.node.waitScope.poll();
  KJ_EXPECT(f.links.ungraftedCount() == 64);
}

KJ_TEST("strangers that come without end keep no key from its graft") {
  Fixture f;
  kj::Vector<kj::Own<Client>> strangers;
  auto come = [&](kj::uint count) {
    for (kj::uint i = 0; i < count; i++) {
      auto from = kj::str("/ip6/2001:db8::", i + 1, "/tcp/", 1000 + i);  // one network
      strangers.add(kj::heap<Client>(f.connect(Identity::generate().getPeerId(), from)));
      f.node.waitScope.poll();
    }
  };
  come(100);
  Client honest(f.connect(f.client.getPeerId(), "/ip6/2001:db8:0:1::1/tcp/1"));
  come(100);
  KJ_EXPECT(f.links.ungraftedCount() == 64);
  KJ_EXPECT(!isGone(f, honest) && isGone(f, *strangers[130]));
  honest.graft(f.signer()).wait(f.node.waitScope);
}

KJ_TEST("who has grafted is protected where others make room, while its session stands") {
  Fixture f;
  auto& swarm = f.node.swarm;
  Client client(f.connect());
  f.node.waitScope.poll();
  KJ_EXPECT(swarm.protectedCount() == 0);
  auto graft = client.graft(f.signer()).wait(f.node.waitScope);
  KJ_EXPECT(swarm.protectedCount() == 1);
  f.keys.set(nullptr);
  f.node.waitScope.poll();
  KJ_EXPECT(swarm.protectedCount() == 0, "though it holds what it has been given");
  f.allow();
  auto second = kj::heap<Client>(f.connect());
  auto again = second->graft(f.signer()).wait(f.node.waitScope);
  KJ_EXPECT(swarm.protectedCount() == 1);
  { auto drop = kj::mv(again); }
  second = nullptr;
  f.node.waitScope.poll();
  KJ_EXPECT(swarm.protectedCount() == 0);
}

}  // namespace
}  // namespace ww
