// Clients' links: who may do what before they have grafted, and what ends with a link.

#include "client-fixture.h"

#include <kj/encoding.h>
#include <ww/node/image-keeper.h>

namespace ww {
namespace {

KJ_TEST("a key that is allowed grafts, and then sends large messages; the owner needs none") {
  Fixture f;
  Client client(f.connect());
  KJ_EXPECT(f.links.ungraftedCount() == 1);
  auto graft = client.graft(f.signer()).wait(f.node.waitScope);
  KJ_EXPECT(f.links.ungraftedCount() == 0 && f.links.count() == 1);
  auto executor = graft.getSession().getExtension().getExecutor();
  auto process = runOn(executor, "cell-plain", {"args"});
  KJ_EXPECT(f.node.wait(process) == 0);

  auto pipe = kj::newTwoWayPipe();
  f.links.serveOwner(kj::mv(pipe.ends[1]));
  Client owner(kj::mv(pipe.ends[0]));
  auto session = owner.membrane.graftRequest().send().wait(f.node.waitScope);
  KJ_EXPECT(session.getSession().getIssuedEpoch().getSeq() == 0);
}

KJ_TEST("a stranger, and no signer at all, are refused on a link that stays as it was") {
  Fixture f;
  Client client(f.connect());
  auto refused = f.failure(client.graft(f.signer(Identity::generate())).ignoreResult());
  KJ_EXPECT(contains(refused, "unauthorized: "), refused);
  refused = f.failure(client.membrane.graftRequest().send().ignoreResult());
  KJ_EXPECT(contains(refused, "unauthorized: "), refused);
  KJ_EXPECT(f.links.ungraftedCount() == 1);
  client.graft(f.signer()).wait(f.node.waitScope);
}

KJ_TEST("a client's own bootstrap may answer before the graft asks; once, and for a listed key") {
  Fixture f;
  Client early(f.connect(), f.signer());
  early.graft(kj::heap<SlowSigner>()).wait(f.node.waitScope);
  auto second = early.graft(kj::heap<SlowSigner>()).ignoreResult().eagerlyEvaluate(nullptr);
  KJ_EXPECT(!second.poll(f.node.waitScope));
  f.advance(SignedGraftPolicy::SIGNER_TIMEOUT);
  KJ_EXPECT(contains(f.failure(kj::mv(second)), "unauthorized: "));

  Client stranger(f.connect(), f.signer(Identity::generate()));
  KJ_EXPECT(contains(f.failure(stranger.graft(f.signer(Identity::generate())).ignoreResult()),
                     "unauthorized: "));
  KJ_EXPECT(f.links.ungraftedCount() == 1);
  stranger.graft(f.signer()).wait(f.node.waitScope);

  // The key of the session is the one that answered.
  f.keys.set(nullptr);
  Client removed(f.connect(), f.signer());
  KJ_EXPECT(contains(f.failure(removed.graft(f.signer()).ignoreResult()), "unauthorized: "));
}

KJ_TEST("an early answer is for the epoch in which it was asked for") {
  Fixture f;
  Client client(f.connect(), f.signer());
  f.node.waitScope.poll();
  f.node.heads.advance();
  f.node.waitScope.poll();
  auto graft = client.graft(kj::heap<SlowSigner>()).ignoreResult().eagerlyEvaluate(nullptr);
  KJ_EXPECT(!graft.poll(f.node.waitScope));
  f.advance(SignedGraftPolicy::SIGNER_TIMEOUT);
  KJ_EXPECT(contains(f.failure(kj::mv(graft)), "unauthorized: "));
  client.graft(f.signer()).wait(f.node.waitScope);
}

KJ_TEST("one graft at a time") {
  Fixture f;
  Client client(f.connect());
  auto first = client.graft(kj::heap<SlowSigner>()).ignoreResult().eagerlyEvaluate(nullptr);
  KJ_EXPECT(!first.poll(f.node.waitScope));
  auto second = f.failure(client.graft(f.signer()).ignoreResult());
  KJ_EXPECT(contains(second, "overloaded: grafts"), second);
  f.advance(SignedGraftPolicy::SIGNER_TIMEOUT);
  KJ_EXPECT(contains(f.failure(kj::mv(first)), "unauthorized: "));
  client.graft(f.signer()).wait(f.node.waitScope);
}

KJ_TEST("a key has so many dials, over all of its links") {
  Fixture f;
  Client one(f.connect()), another(f.connect()), others(f.connect(f.other.getPeerId()));
  auto host = [&](Client& client, const Identity& who) {
    return client.graft(f.signer(who)).wait(f.node.waitScope).getSession().getExtension()
        .getHost();
  };
  auto dial = [&](peer::Host::Client host) {
    auto request = host.connectRequest();
    request.setPeerId(Identity::generate().getPeerId().asBytes());
    return f.failure(request.send().ignoreResult());
  };
  auto first = host(one, f.client), second = host(another, f.client);
  for (kj::uint i = 0; i < DialPolicy().maxPerMinute; i++) {
    auto why = dial(i % 2 == 0 ? first : second);
    KJ_EXPECT(!contains(why, "overloaded: "), why);
  }
  for (auto spent: {&first, &second}) {
    auto why = dial(*spent);
    KJ_EXPECT(contains(why, "overloaded: dials"), why);
  }
  KJ_EXPECT(f.node.node.getHits().count(LimitKind::DIALS) == 2);
  KJ_EXPECT(f.node.logged(kj::str("a limit was hit limit=dials client=",
      kj::encodeHex(f.client.getKey().getPublicKey().bytes), " value=60")));
  auto why = dial(host(others, f.other));
  KJ_EXPECT(!contains(why, "overloaded: "), why);
}

KJ_TEST("before its graft a link takes no message of more than 64 KiB") {
  Fixture f;
  Client client(f.connect());
  // Pipelined on a graft that has yet to be decided.
  auto graft = client.graft(kj::heap<SlowSigner>());
  auto request = graft.getSession().getExtension().getExecutor().runBytesRequest();
  request.initWasm(64 << 10);
  auto why = f.failure(request.send().ignoreResult());
  KJ_EXPECT(why.size() > 0);
  KJ_EXPECT(isGone(f, client));
  KJ_EXPECT(f.node.answers());
}

KJ_TEST("before its graft a link has 16 calls in flight, and sends 16 capabilities") {
  Fixture f;
  Client client(f.connect());
  // They wait for a graft, and that for its signer.
  auto graft = client.graft(kj::heap<SlowSigner>());
  auto host = graft.getSession().getExtension().getHost();
  kj::Vector<kj::Promise<kj::String>> calls;
  for (int i = 0; i < 40; i++) {
    calls.add(host.idRequest().send().then([](auto&&) { return kj::str(); },
        [](kj::Exception&& e) { return kj::str(e.getDescription()); }).eagerlyEvaluate(nullptr));
  }
  f.node.waitScope.poll();
  KJ_EXPECT(!isGone(f, client));
  f.advance(SignedGraftPolicy::SIGNER_TIMEOUT);
  kj::uint refused = 0;
  for (auto& call: calls) refused += contains(call.wait(f.node.waitScope), "overloaded: calls");
  KJ_EXPECT(refused == 40 - 16 + 1, refused);  // the graft is one
  kj::String why;
  for (int i = 0; i < 17 && why.size() == 0; i++) {
    auto refused = f.failure(client.graft(kj::heap<KeySigner>(SecretKey::generate(), "nobody"_kj))
        .ignoreResult());
    if (!contains(refused, "unauthorized: ")) why = kj::mv(refused);
  }
  KJ_EXPECT(why.size() > 0);
  KJ_EXPECT(isGone(f, client));
  Client next(f.connect());
  next.graft(f.signer()).wait(f.node.waitScope);
}

KJ_TEST("a link's sessions and cells end with it, the cells after their grace") {
  Fixture f;
  auto client = kj::heap<Client>(f.connect());
  auto graft = client->graft(f.signer()).wait(f.node.waitScope);
  auto process = runOn(graft.getSession().getExtension().getExecutor(), "cell-plain",
                       {"sleep", "1000000000"});
  process.stdinRequest().send().wait(f.node.waitScope);
  KJ_EXPECT(f.node.node.getEngine().guestCount() == 1);
  { auto drop = kj::mv(graft); }
  process = nullptr;
  client = nullptr;
  f.node.waitScope.poll();
  KJ_EXPECT(f.links.count() == 0);
  KJ_EXPECT(f.node.node.getEngine().guestCount() == 1, "it has its grace");
  f.advance(GRACE);
  f.node.waitScope.poll();
  KJ_EXPECT(f.node.node.getEngine().guestCount() == 0);
}

// A client with a session and a cell that waits for a time that never comes.
struct Busy {
  kj::Own<Client> client;
  membrane::WetwareSession::Reader session;
  capnp::Response<Membrane::GraftResults> graft;
  Process::Client process = nullptr;

  Busy(Fixture& f, const Identity& who)
      : client(kj::heap<Client>(f.connect(who.getPeerId()))),
        graft(client->graft(f.signer(who)).wait(f.node.waitScope)) {
    session = graft.getSession().getExtension();
    process = runOn(session.getExecutor(), "cell-plain", {"sleep", "1000000000"});
    process.stdinRequest().send().wait(f.node.waitScope);
  }
};

auto listCells(Fixture& f, peer::Executor::Client executor) {
  return executor.cellsRequest().send().getCells().listRequest().send().wait(f.node.waitScope);
}

KJ_TEST("a detached cell outlives its link, and its session stands until it has ended") {
  Fixture f;
  uint64_t id;
  {
    Busy busy(f, f.client);
    id = busy.process.detachRequest().send().wait(f.node.waitScope).getId();
    auto second = runOn(busy.session.getExecutor(), "cell-plain", {"sleep", "1000000000"});
    second.stdinRequest().send().wait(f.node.waitScope);
  }
  f.node.waitScope.poll();
  KJ_EXPECT(f.links.count() == 0);
  f.advance(GRACE);
  f.node.waitScope.poll();
  KJ_EXPECT(f.node.node.getEngine().guestCount() == 1, "the other one has had its grace");

  Client again(f.connect());
  auto session = again.graft(f.signer()).wait(f.node.waitScope);
  auto executor = session.getSession().getExtension().getExecutor();
  auto list = listCells(f, executor);
  KJ_ASSERT(list.getCells().size() == 2);
  KJ_EXPECT(list.getCells()[0].getId() == id && list.getCells()[0].getDetached());
  KJ_EXPECT(list.getCells()[1].getState().getExitCode() == EXIT_KILLED);

  auto find = executor.cellsRequest().send().getCells().findRequest();
  find.setId(id);
  auto process = find.send().getProcess();
  process.killRequest().send().wait(f.node.waitScope);
  KJ_EXPECT(f.node.node.getEngine().guestCount() == 0);
}

KJ_TEST("a detached cell does not outlive its key") {
  Fixture f;
  {
    Busy busy(f, f.client);
    busy.process.detachRequest().send().wait(f.node.waitScope);
  }
  f.node.waitScope.poll();
  f.advance(60 * kj::SECONDS);
  f.node.waitScope.poll();
  KJ_EXPECT(f.node.node.getEngine().guestCount() == 1);
  f.keys.set(nullptr);
  f.node.waitScope.poll();
  f.advance(GRACE);
  f.node.waitScope.poll();
  KJ_EXPECT(f.node.node.getEngine().guestCount() == 0);
}

KJ_TEST("a key runs 64 detached cells, over all of its links") {
  Fixture f;
  for (kj::uint i = 0; i < CellList::MAX_DETACHED; i++) {
    Busy busy(f, f.client);
    busy.process.detachRequest().send().wait(f.node.waitScope);
  }
  Busy beyond(f, f.client), other(f, f.other);
  auto why = f.failure(beyond.process.detachRequest().send().ignoreResult());
  KJ_EXPECT(contains(why, "overloaded: detached"), why);
  KJ_EXPECT(f.node.logged("a limit was hit limit=detached cell=65 value=64"));
  other.process.detachRequest().send().wait(f.node.waitScope);
}

KJ_TEST("cells of a key are so many over all of its links and sessions; those of others are not") {
  NodeOptions options;
  options.cell.heldOfKey = 5;
  Fixture f(options);
  kj::Vector<kj::Own<Busy>> busy;
  for (int i = 0; i < 4; i++) busy.add(kj::heap<Busy>(f, f.client));
  auto more = [&](Busy& of) {
    auto process = runOn(of.session.getExecutor(), "cell-plain", {"sleep", "1000000000"});
    return process.stdinRequest().send().then([process](auto&&) mutable {
      return kj::mv(process);
    });
  };
  auto fifth = more(*busy[0]).wait(f.node.waitScope);
  auto why = f.failure(more(*busy[1]).ignoreResult());
  KJ_EXPECT(contains(why, "overloaded: cells: so many of this key"), why);
  KJ_EXPECT(contains(why, "the limit is 5"), why);
  Busy other(f, f.other);
  more(other).wait(f.node.waitScope);
  fifth.killRequest().send().wait(f.node.waitScope);
  fifth = nullptr;
  f.node.waitScope.poll();
  more(*busy[1]).wait(f.node.waitScope);
}

KJ_TEST("cells of a key have so much memory together") {
  NodeOptions options;
  options.cell.memoryBytes = 8 << 20;
  options.cell.cellsWorthOfKey = 2;
  Fixture f(options);
  Client one(f.connect()), another(f.connect());
  auto first = one.graft(f.signer()).wait(f.node.waitScope);
  auto second = another.graft(f.signer()).wait(f.node.waitScope);
  kj::Vector<Process::Client> running;
  kj::uint started = 0;
  auto start = [&](auto& graft) {
    running.add(runOn(graft.getSession().getExtension().getExecutor(), "cell-plain",
                      {"sleep", "1000000000"}));
    auto why = f.failure(running.back().stdinRequest().send().ignoreResult());
    started += why.size() == 0;
    return kj::mv(why);
  };
  kj::String why;
  while (why.size() == 0 && started < 1000) why = start(started % 2 == 0 ? first : second);
  KJ_EXPECT(started > 2 && started < 1000, started);
  KJ_EXPECT(contains(why, "memory"), why);
  Client other(f.connect(f.other.getPeerId()));
  auto third = other.graft(f.signer(f.other)).wait(f.node.waitScope);
  KJ_EXPECT(start(third) == "");
}

KJ_TEST("all cells of a node have so much memory together, whoever started them") {
  NodeOptions options;
  options.cell.memoryBytes = 64 << 20;
  options.cell.nodeMemoryBytes = 80 << 20;
  Fixture f(options);
  Client mine(f.connect());
  auto session = mine.graft(f.signer()).wait(f.node.waitScope);
  auto executor = session.getSession().getExtension().getExecutor();
  auto full = runOn(executor, "bombs", {"memory"});
  KJ_EXPECT(f.node.read(TestNode::stdout(full), 100) == "full"_kj.asBytes());
  // The owner's has what is left of the node's, though less than it might have by itself.
  auto grown = [&]() {
    auto cell = f.node.run("bombs", {"memory"});
    KJ_EXPECT(f.node.read(TestNode::stdout(cell), 100) == "full"_kj.asBytes());
    auto info = cell.infoRequest().send().wait(f.node.waitScope);
    KJ_DEFER(cell.killRequest().send().wait(f.node.waitScope));
    return info.getInfo().getMemoryBytes() >> 20;
  };
  KJ_EXPECT(grown() == 16);
  KJ_EXPECT(f.node.node.getHits().count(LimitKind::NODE_MEMORY) == 1);
  KJ_EXPECT(f.node.logged("a limit was hit limit=nodeMemory cell=2 value=83886080"),
            f.node.logger.getLines());
  full.killRequest().send().wait(f.node.waitScope);
  KJ_EXPECT(grown() == 64);
}

KJ_TEST("a key sees and reaches its own cells alone; with the right to the node, all") {
  Fixture f;
  Busy mine(f, f.client), others(f, f.other);
  auto ownId = mine.process.infoRequest().send().wait(f.node.waitScope).getInfo().getId();
  auto otherId = others.process.infoRequest().send().wait(f.node.waitScope).getInfo().getId();
  auto list = listCells(f, mine.session.getExecutor());
  KJ_ASSERT(list.getCells().size() == 1);
  KJ_EXPECT(list.getCells()[0].getId() == ownId);
  auto find = mine.session.getExecutor().cellsRequest().send().getCells().findRequest();
  find.setId(otherId);
  auto why = f.failure(find.send().ignoreResult());
  KJ_EXPECT(contains(why, kj::str("no cell ", otherId)), why);
  KJ_EXPECT(!mine.session.hasNode() && !others.session.hasNode());

  f.allow(true);
  Client operating(f.connect());
  auto session = operating.graft(f.signer()).wait(f.node.waitScope);
  auto node = session.getSession().getExtension().getNode();
  auto all = node.cellsRequest().send().getCells().listRequest().send().wait(f.node.waitScope);
  KJ_EXPECT(all.getCells().size() == 2);
  auto sessions = node.sessionsRequest().send().wait(f.node.waitScope);
  KJ_ASSERT(sessions.getSessions().size() == 4);
  auto last = sessions.getSessions()[3];  // the first is the fixture's own
  KJ_EXPECT(last.getHasNode() && last.getEnded() == "");
  KJ_EXPECT(last.getHolder().getKey() == f.client.getPeerId().asBytes());
  KJ_EXPECT(contains(last.getOrigin(), "a test"), last.getOrigin());

  // A right that is taken away takes the session with it.
  f.allow(false);
  why = f.failure(node.cellsRequest().send().ignoreResult());
  KJ_EXPECT(contains(why, "revoked: "), why);
}

// An image is kept when the test says so.
struct SlowKeeper final: public ImageKeeper {
  kj::Maybe<Asker> asker;
  kj::Own<kj::PromiseFulfiller<Kept>> done;

  kj::Promise<Kept> keepImage(Cid, Asker by) override {
    asker = kj::mv(by);
    auto pair = kj::newPromiseAndFulfiller<Kept>();
    done = kj::mv(pair.fulfiller);
    return kj::mv(pair.promise);
  }
};

KJ_TEST("one image at a time is kept for a session, which sees it get on, until it is over") {
  Fixture f;
  f.allow(true);
  SlowKeeper keeper;
  f.node.node.setImages(keeper);
  Client client(f.connect());
  auto graft = client.graft(f.signer()).wait(f.node.waitScope);
  auto node = graft.getSession().getExtension().getNode();
  auto cid = Cid::of(Cid::RAW, kj::StringPtr("an image").asBytes());
  auto keep = [&]() {
    auto request = node.keepImageRequest();
    request.setCid(cid.getBytes());
    return request.send().ignoreResult();
  };
  auto steps = [&]() {
    return node.keepingRequest().send().wait(f.node.waitScope).getSteps();
  };
  KJ_EXPECT(steps() == 0);
  for (bool isRevoked: {false, true}) {
    auto keeping = keep();
    KJ_EXPECT(!keeping.poll(f.node.waitScope));
    auto& asker = KJ_ASSERT_NONNULL(keeper.asker);
    KJ_EXPECT(KJ_ASSERT_NONNULL(asker.peer) == f.client.getPeerId());
    asker.check();
    asker.onStep();
    asker.onStep();
    KJ_EXPECT(steps() == 2);
    KJ_EXPECT(contains(f.failure(keep()), "overloaded: images: one at a time"));
    KJ_EXPECT(steps() == 2);
    if (isRevoked) {
      f.allow(false);
      KJ_EXPECT_THROW_MESSAGE("revoked: ", asker.check());  // at once
      KJ_EXPECT(contains(f.failure(kj::mv(keeping)), "revoked: "));
    } else {
      keeper.done->fulfill(ImageKeeper::Kept());
      keeping.wait(f.node.waitScope);
      KJ_EXPECT(steps() == 0);
    }
  }
}

KJ_TEST("removing a key ends its sessions at once, and no others") {
  Fixture f;
  Client client(f.connect());
  auto host = client.graft(f.signer()).wait(f.node.waitScope).getSession().getExtension()
      .getHost();
  f.keys.set(nullptr);
  auto why = f.failure(host.idRequest().send().ignoreResult());
  KJ_EXPECT(contains(why, "revoked: "), why);
  KJ_EXPECT(f.node.answers());
  KJ_EXPECT(contains(f.failure(client.graft(f.signer()).ignoreResult()), "unauthorized: "));
}

// Their calls and the answers keep the loop from ever coming to rest.
void expectServedBeside(kj::uint cells, kj::StringPtr inFlight) {
  Fixture f;
  Client client(f.connect());
  auto graft = client.graft(f.signer()).wait(f.node.waitScope);
  auto executor = graft.getSession().getExtension().getExecutor();
  kj::Vector<Process::Client> busy;
  for (kj::uint i = 0; i < cells; i++) {
    busy.add(f.node.run("cell-rpc", {"bench-echo", "4000000000", inFlight, "16"}));
  }
  for (kj::uint i = 0; i < 100; i++) {
    f.node.waitScope.poll(1000 + i);  // wherever they are
    executor.echoRequest().send().wait(f.node.waitScope);
  }
  KJ_EXPECT(f.node.node.getEngine().guestCount() == cells);
  for (auto& cell: busy) cell.killRequest().send().wait(f.node.waitScope);
}

KJ_TEST("a client is served beside cells that call their host without end") {
  expectServedBeside(1, "1");
  expectServedBeside(1, "2");
  expectServedBeside(2, "4");
}

KJ_TEST("whatever bytes come, the node goes on") {
  Fixture f;
  uint64_t seed = 1;
  for (int round = 0; round < 300; round++) {
    auto stream = f.connect(Identity::generate().getPeerId());
    kj::byte bytes[256];
    for (auto& byte: bytes) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      byte = (seed >> 60) < 11 ? 0 : seed >> 56;  // mostly zeros: as messages are
    }
    stream->write(bytes, sizeof(bytes)).eagerlyEvaluate([](kj::Exception&&) {})
        .poll(f.node.waitScope);
  }
  f.node.waitScope.poll();
  KJ_EXPECT(f.links.ungraftedCount() == 0);
  KJ_EXPECT(f.node.answers());
}

}  // namespace
}  // namespace ww
