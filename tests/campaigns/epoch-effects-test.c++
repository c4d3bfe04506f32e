// What the node does outside of itself for a session: nothing of it begins, or goes on, after the
// head has moved.
#include "held-session.h"

namespace ww {
namespace {

constexpr kj::uint TRIES = 100, EACH = 8;

NodeOptions options() {
  NodeOptions options;
  options.dial.allowPrivate = true;  // where a loopback swarm is
  return options;
}

struct World {
  Fixture f{options()};
  kj::WaitScope& waitScope = f.node.waitScope;
  kj::Maybe<kj::Own<Chain>> chain;
  kj::Own<HeldSession> session;
  kj::Vector<kj::Own<LoopbackSwarm>> peers;
  Tally tally{0, 1};

  explicit World(bool link)
      : session(kj::heap<HeldSession>(f, link ? chain.emplace(kj::heap<Chain>(f, 1))->membrane
                                              : f.node.node.openMembrane(), 0)) {
    f.node.runToEnd("cell-plain", {"exit", "0"});  // what is compiled is at hand
  }
  ~World() noexcept(false) { session = nullptr; }

  void run() {
    for (kj::uint i = 0; i < EACH; i++) {
      auto process = runOn(session->executor, "cell-plain", {"sleep", "1000000000"});
      tally.add(process.infoRequest().send().ignoreResult());
    }
  }
  void dial() {
    for (kj::uint i = 0; i < EACH; i++) {
      auto& peer = *peers.add(kj::heap<LoopbackSwarm>(f.node.network,
                                                      Identity::generate().getPeerId().clone()));
      auto addrs = peer.getListenAddrs();
      auto request = session->host.connectRequest();
      request.setPeerId(peer.getPeerId().asBytes());
      request.initAddrs(1).set(0, addrs[0].asBytes());
      tally.add(request.send().ignoreResult());
    }
  }

  // What was there right before the turn that stored the new head.
  struct Seen {
    size_t running;
    kj::uint dials;
  };
  Seen moveHead() {
    f.node.heads.advance();
    for (;;) {
      Seen seen{f.node.node.getEngine().guestCount(), f.node.swarm.dialCount()};
      waitScope.poll(1);
      if (f.node.node.getHeadWatch().seq() > 0) return seen;
    }
  }

  // Cells that have begun, the first one left out.
  uint64_t cellsBegun() {
    auto graft = f.node.node.openMembrane().graftRequest().send().getSession().getExtension();
    auto process = runOn(graft.getExecutor(), "cell-plain", {"sleep", "1000000000"});
    return process.infoRequest().send().wait(waitScope).getInfo().getId() - 2;
  }
};

KJ_TEST("no cell begins after the head has moved, after however many turns it does") {
  for (bool link: {false, true}) {
    kj::uint begun = 0, refused = 0, step = link ? 8 : 2;
    for (kj::uint turns = 0; turns < TRIES * step; turns += step) {
      World world(link);
      world.run();
      world.waitScope.poll(turns);
      auto running = world.moveHead().running;
      world.waitScope.poll();
      KJ_EXPECT(world.cellsBegun() == running, turns, running);
      KJ_EXPECT(world.tally.answered + world.tally.refused == EACH, world.tally.other);
      begun += running;
      refused += world.tally.refused;
    }
    say(kj::str("runBytes as the head moves", link ? ", over a link" : "", ": ", begun,
                " cells had begun, ", refused, " calls were refused"));
    KJ_EXPECT(begun > 0 && refused > 0);
  }
  World left(true);  // alone
  left.run();
  left.waitScope.poll();
  KJ_EXPECT(left.tally.answered == EACH && left.cellsBegun() == EACH);
}

KJ_TEST("no dial begins after the head has moved, after however many turns it does") {
  for (bool link: {false, true}) {
    kj::uint dialed = 0, refused = 0, step = link ? 2 : 1;
    for (kj::uint turns = 0; turns < TRIES * step; turns += step) {
      World world(link);
      world.dial();
      world.waitScope.poll(turns);
      auto dials = world.moveHead().dials;
      world.waitScope.poll();
      KJ_EXPECT(world.f.node.swarm.dialCount() == dials, turns, dials);
      KJ_EXPECT(world.tally.answered + world.tally.refused == EACH, world.tally.other);
      dialed += dials;
      refused += world.tally.refused;
    }
    say(kj::str("connect as the head moves", link ? ", over a link" : "", ": ", dialed,
                " dials had begun, ", refused, " calls were refused"));
    KJ_EXPECT(dialed > 0 && refused > 0);
  }
  World left(true);
  left.dial();
  left.waitScope.poll();
  KJ_EXPECT(left.tally.answered == EACH && left.f.node.swarm.dialCount() == EACH);
}

// What the cell was given, as a session of the new epoch sees it.
uint64_t bytesIn(World& world, uint64_t id) {
  auto session = world.f.node.node.openMembrane().graftRequest().send().getSession();
  auto find = session.getExtension().getExecutor().cellsRequest().send().getCells().findRequest();
  find.setId(id);
  return find.send().wait(world.waitScope).getInfo().getBytesIn();
}

KJ_TEST("writes that wait for room in a pipe give the cell nothing once there is room") {
  constexpr size_t PIPE = 64 << 10, PIECE = 1000;
  for (bool moves: {false, true}) {
    World world(true);
    auto process = runOn(world.session->executor, "cell-plain", {"drain-late"});
    auto id = process.infoRequest().send().wait(world.waitScope).getInfo().getId();
    auto before = bytesIn(world, id);
    auto in = TestNode::stdin(process);
    auto write = [&](size_t size) {
      auto request = in.writeRequest();
      request.initData(size);
      return request.send().ignoreResult();
    };
    write(PIPE - 1).wait(world.waitScope);
    for (int i = 0; i < 100; i++) world.tally.add(write(PIECE));
    world.waitScope.poll();
    KJ_EXPECT(world.tally.waiting == 100);
    if (moves) world.moveHead();
    // Until it reads what there is: its sleep is over by the machine's clock too.
    auto& engine = world.f.node.node.getEngine();
    for (auto polls = engine.pollCount(); engine.pollCount() == polls;) {
      world.f.advance(1 * kj::MILLISECONDS);
      world.waitScope.poll();
    }
    auto given = bytesIn(world, id) - before;
    KJ_EXPECT(given == (moves ? PIPE : PIPE - 1 + 100 * PIECE), given);
    KJ_EXPECT(world.tally.refused == (moves ? 100 : 0) && world.tally.waiting == 0);
  }
}

KJ_TEST("what is asked for once the head has moved is not done") {
  for (bool moves: {false, true}) {
    World world(true);
    auto parked = [&]() {
      auto process = runOn(world.session->executor, "cell-plain", {"park"});
      TestNode::stdout(process).readRequest().send().wait(world.waitScope);
      return process;
    };
    auto killed = parked(), closed = parked(), written = parked();
    auto id = written.infoRequest().send().wait(world.waitScope).getInfo().getId();
    auto in = TestNode::stdin(closed), into = TestNode::stdin(written);
    into.writeRequest().send().wait(world.waitScope);
    auto before = bytesIn(world, id), begun = world.cellsBegun();
    if (moves) world.moveHead();
    world.tally.add(killed.killRequest().send().ignoreResult());
    world.tally.add(in.closeRequest().send().ignoreResult());
    auto write = into.writeRequest();
    write.initData(100);
    world.tally.add(write.send().ignoreResult());
    world.run();
    world.dial();
    world.waitScope.poll();
    KJ_EXPECT((moves ? world.tally.refused : world.tally.answered) == 3 + 2 * EACH,
              world.tally.answered, world.tally.refused, world.tally.other);
    KJ_EXPECT(bytesIn(world, id) - before == (moves ? 0 : 100));
    KJ_EXPECT(world.f.node.swarm.dialCount() == (moves ? 0 : EACH));
    KJ_EXPECT(world.cellsBegun() - begun == 1 + (moves ? 0 : EACH), "one of them to look");
    // Those that were begun to look run too.
    auto running = moves ? 3 + 2 : 1 + 2 + EACH;
    KJ_EXPECT(world.f.node.node.getEngine().guestCount() == running,
              world.f.node.node.getEngine().guestCount());
  }
}

}  // namespace
}  // namespace ww
