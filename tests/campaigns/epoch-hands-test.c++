// In whose hands a session's capabilities are when the head moves, and which way they came there:
// none of it makes a difference, and what is not the session's goes on.
#include <probe.capnp.h>
#include <ww/epoch/session-bound.h>
#include <ww/membrane/epoch-policy.h>
#include "held-session.h"

namespace ww {
namespace {

using peer::Executor;
using probe::Probe;

// Keeps what it is given, and gives it back; answers who calls it.
template <typename Base>
class Keeper final: public Base {
 public:
  template <typename... Params>
  explicit Keeper(kj::Maybe<Probe::Client>& place, Params&&... params)
      : Base(kj::fwd<Params>(params)...), place(place) {}

  kj::Promise<void> keep(Probe::Server::KeepContext context) override {
    place = context.getParams().getProbe();
    return kj::READY_NOW;
  }
  kj::Promise<void> kept(Probe::Server::KeptContext context) override {
    context.getResults().setProbe(KJ_ASSERT_NONNULL(place));
    return kj::READY_NOW;
  }
  kj::Promise<void> echo(Executor::Server::EchoContext context) override {
    context.getResults().setResponse("mine");
    return kj::READY_NOW;
  }

 private:
  kj::Maybe<Probe::Client>& place;
};

// A vat to which the session's holder has a link of its own.
class ThirdParty {
 public:
  Probe::Client keeper;  // as the holder has it

  ThirdParty()
      : keeper(nullptr), network(*pipe.ends[0], capnp::rpc::twoparty::Side::SERVER),
        server(capnp::makeRpcServer(network, kj::heap<Keeper<Probe::Server>>(place))),
        client(*pipe.ends[1]) {
    keeper = client.bootstrap().castAs<Probe>();
  }
  ~ThirdParty() noexcept(false) { keeper = nullptr; place = nullptr; }

  Probe::Client kept() { return KJ_ASSERT_NONNULL(place); }  // as it has it

 private:
  kj::Maybe<Probe::Client> place;
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> server;
  capnp::TwoPartyClient client;
};

enum class Reach { LOCAL, LINK, HOPS };

struct Hands {
  Fixture f;
  kj::WaitScope& waitScope = f.node.waitScope;
  kj::Maybe<kj::Own<Chain>> chain;
  ThirdParty third;
  kj::Own<HeldSession> session;
  Process::Client process;
  // In the node, of a session of its own.
  kj::Maybe<Probe::Client> place;
  kj::Own<Lease> lease = f.node.node.getHeadWatch().issue();
  Probe::Client inNode = bindToLease<Probe>(
      *lease, kj::heap<Keeper<SessionBound<Probe>>>(place, *lease));

  explicit Hands(Reach reach)
      : session(kj::heap<HeldSession>(f, membraneBy(reach), 0)),
        process(runOn(session->executor, "cell-plain", {"sleep", "1000000000"})) {
    process.infoRequest().send().wait(waitScope);
  }

  Membrane::Client membraneBy(Reach reach) {
    if (reach == Reach::LOCAL) return f.node.node.openMembrane();
    return chain.emplace(kj::heap<Chain>(f, reach == Reach::LINK ? 1 : 3))->membrane;
  }

  void keepAt(Probe::Client keeper, Executor::Client what) {
    auto request = keeper.keepRequest();
    request.setProbe(what.castAs<Probe>());
    request.send().wait(waitScope);
  }
  Executor::Client keptAt(Probe::Client keeper) {
    return keeper.keptRequest().send().wait(waitScope).getProbe();
  }
};

using Call = kj::Function<kj::Promise<void>()>;

// A way to hold a capability of the session, and a call on it.
struct Shape {
  kj::StringPtr name;
  Call (*prepare)(Hands&);
};

Call echoOn(Executor::Client executor) {
  return [executor = kj::mv(executor)]() mutable {
    return executor.echoRequest().send().ignoreResult();
  };
}

Call infoOn(Process::Client process) {
  return [process = kj::mv(process)]() mutable {
    return process.infoRequest().send().ignoreResult();
  };
}

const Shape OWN_SHAPES[] = {
    {"its poller", [](Hands& h) -> Call {
       return [poller = h.session->poller]() mutable {
         return poller.pollStatusRequest().send().ignoreResult();
       };
     }},
    {"its host", [](Hands& h) -> Call {
       return [host = h.session->host]() mutable {
         return host.idRequest().send().ignoreResult();
       };
     }},
    {"its executor", [](Hands& h) { return echoOn(h.session->executor); }},
    {"through Host.executor, each time", [](Hands& h) -> Call {
       return [host = h.session->host]() mutable {
         return host.executorRequest().send().getExecutor().echoRequest().send().ignoreResult();
       };
     }},
    {"through Host.executor, once", [](Hands& h) {
       return echoOn(h.session->host.executorRequest().send().wait(h.waitScope).getExecutor());
     }},
    {"through the node", [](Hands& h) -> Call {
       return [node = h.session->graft.getSession().getExtension().getNode()]() mutable {
         return node.cellsRequest().send().getCells().listRequest().send().ignoreResult();
       };
     }},
};

const Shape OF_A_PROCESS[] = {
    {"a process", [](Hands& h) { return infoOn(h.process); }},
    {"a process that was found", [](Hands& h) {
       auto info = h.process.infoRequest().send().wait(h.waitScope);
       auto find = h.session->executor.cellsRequest().send().getCells().findRequest();
       find.setId(info.getInfo().getId());
       return infoOn(find.send().wait(h.waitScope).getProcess());
     }},
    {"a process's pipes, each time", [](Hands& h) -> Call {
       return [process = h.process]() mutable {
         return TestNode::stderr(process).readRequest().send().ignoreResult();
       };
     }},
    {"a process's pipe, once", [](Hands& h) -> Call {
       return [in = TestNode::stdin(h.process)]() mutable {
         return in.writeRequest().send().ignoreResult();
       };
     }},
};

const Shape PASSED_ON[] = {
    {"on a promise", [](Hands& h) {
       auto paf = kj::newPromiseAndFulfiller<Executor::Client>();
       Executor::Client promised = kj::mv(paf.promise);
       paf.fulfiller->fulfill(kj::cp(h.session->executor));
       return echoOn(kj::mv(promised));
     }},
    {"held by a third party", [](Hands& h) {
       h.keepAt(h.third.keeper, h.session->executor);
       return echoOn(h.third.kept());
     }},
    {"promised to a third party", [](Hands& h) {
       h.keepAt(h.third.keeper, h.session->host.executorRequest().send().getExecutor());
       return echoOn(h.third.kept());
     }},
    {"passed to a third party and back", [](Hands& h) {
       h.keepAt(h.third.keeper, h.session->executor);
       return echoOn(h.keptAt(h.third.keeper));
     }},
    {"passed into another session and out again", [](Hands& h) {
       h.keepAt(h.inNode, h.session->executor);
       return echoOn(h.keptAt(h.inNode));
     }},
};

kj::Vector<Shape> allShapes() {
  kj::Vector<Shape> all;
  for (auto& shape: OWN_SHAPES) all.add(shape);
  for (auto& shape: OF_A_PROCESS) all.add(shape);
  for (auto& shape: PASSED_ON) all.add(shape);
  return all;
}

const kj::Vector<Shape> SHAPES = allShapes();

auto prepareAll(Hands& hands) {
  return KJ_MAP(shape, SHAPES) { return shape.prepare(hands); };
}

// One by one, so that what is wrong is named.
void expectEach(Hands& hands, kj::ArrayPtr<Call> calls, bool refused) {
  for (kj::uint i = 0; i < SHAPES.size(); i++) {
    Tally tally(0, 1);
    tally.add(calls[i]());
    hands.waitScope.poll();
    KJ_EXPECT(tally.refused == refused && tally.answered == !refused, SHAPES[i].name,
              tally.waiting, tally.other);
  }
}

KJ_TEST("in whatever hands, and whatever way it came there, it is refused from then on") {
  for (auto reach: {Reach::LOCAL, Reach::LINK, Reach::HOPS}) {
    Hands hands(reach);
    auto calls = prepareAll(hands);
    expectEach(hands, calls, false);
    Advance advance(hands.f);
    expectEach(hands, calls, true);
  }
}

KJ_TEST("the head moves so many turns after the calls: each is answered or refused, and then all") {
  constexpr kj::uint TRIES = 60;
  for (auto reach: {Reach::LOCAL, Reach::LINK, Reach::HOPS}) {
    kj::uint answered = 0, refused = 0, step = reach == Reach::HOPS ? 20 : 5;
    for (kj::uint turns = 0; turns < TRIES * step; turns += step) {
      Hands hands(reach);
      auto calls = prepareAll(hands);
      Tally tally(0, 1);
      for (auto& call: calls) tally.add(call());
      hands.waitScope.poll(turns);
      Advance advance(hands.f);
      KJ_EXPECT(tally.answered + tally.refused == SHAPES.size(), turns, tally.waiting, tally.other);
      answered += tally.answered;
      refused += tally.refused;
      expectEach(hands, calls, true);
    }
    say(kj::str("calls as the head moves, ", reach == Reach::LOCAL ? "local" :
                reach == Reach::LINK ? "over a link" : "over three hops", ": ", answered,
                " answered, ", refused, " refused"));
    KJ_EXPECT(answered > 0 && refused > 0);
  }
}

KJ_TEST("a holder's own object that crossed and came back stays its own") {
  for (auto reach: {Reach::LOCAL, Reach::LINK, Reach::HOPS}) {
    Hands hands(reach);
    kj::Maybe<Probe::Client> nothing;
    Probe::Client own = kj::heap<Keeper<Probe::Server>>(nothing);
    kj::Vector<Executor::Client> back;
    for (auto keeper: {&hands.third.keeper, &hands.inNode}) {
      hands.keepAt(*keeper, own);
      back.add(hands.keptAt(*keeper));
    }
    back.add(hands.third.kept());
    auto answers = [&]() {
      for (auto& object: back) {
        auto response = object.echoRequest().send().wait(hands.waitScope);
        KJ_EXPECT(response.getResponse() == "mine");
      }
    };
    answers();
    Advance advance(hands.f);
    answers();
    hands.place = nullptr;
  }
}

// The memory of all cells of the node, in their order, as a session of the new epoch sees them.
kj::Vector<uint64_t> memories(Fixture& f) {
  auto session = f.node.node.openMembrane().graftRequest().send().getSession();
  auto list = session.getExtension().getExecutor().cellsRequest().send().getCells()
      .listRequest().send().wait(f.node.waitScope);
  kj::Vector<uint64_t> bytes;
  for (auto cell: list.getCells()) {
    KJ_ASSERT(cell.getState().isRunning(), "not all was refused, or it was ended");
    bytes.add(cell.getMemoryBytes());
  }
  return bytes;
}

KJ_TEST("three generations of cells hold 3,400 each, with 990 calls under way: all is refused") {
  constexpr uint64_t VERDICT_BYTES = 512 << 16;  // tests/cells/epochs.c++
  constexpr size_t HOLDERS = 3;                  // and one that idles, which they came with
  Fixture f;
  auto wasm = component("cell-epochs");
  auto top = f.node.run(wasm, {"hold", "2", "3400", "990"});
  auto in = TestNode::stdin(top), out = TestNode::stdout(top);
  f.node.write(in, wasm).wait(f.node.waitScope);
  f.node.close(in);
  KJ_EXPECT(f.node.read(out, 64) == "holding\n"_kj.asBytes());
  KJ_EXPECT(f.node.node.getEngine().guestCount() == 4);

  auto before = memories(f);
  Advance advance(f);
  say(kj::str("10,200 capabilities and 2,970 calls of three generations of cells: leases had ended "
              "after ", us(advance.ended), ", all was settled after ", us(advance.settled)));
  // Within the grace, which does not pass here.
  size_t told = 0;
  while (told < HOLDERS) {
    auto now = memories(f);
    KJ_ASSERT(now.size() == before.size());
    told = 0;
    for (size_t i = 0; i < now.size(); i++) told += now[i] >= before[i] + VERDICT_BYTES;
  }
  KJ_EXPECT(f.node.node.getEngine().guestCount() == HOLDERS + 1);
}

}  // namespace
}  // namespace ww
