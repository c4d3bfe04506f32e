#include <ww/membrane/membrane-server.h>

#include <kj/test.h>
#include <ww/epoch/session-bound.h>

namespace ww {
namespace {

using Membrane = stem::Membrane<membrane::WetwareSession>;

constexpr kj::uint TURNS = 80;

// What happened behind sessions: two for each echo.
struct Effects {
  kj::uint count = 0;
};

// An echo takes a few turns, and has an effect at its end.
class SlowExecutor final: public SessionBound<peer::Executor> {
 public:
  SlowExecutor(Lease& lease, Effects& effects): SessionBound(lease), effects(effects) {}

  kj::Promise<void> echo(EchoContext context) override {
    ++effects.count;
    for (int i = 0; i < 5; i++) co_await kj::evalLater([]() {});
    lease->check();
    ++effects.count;
    context.getResults().setResponse(context.getParams().getMessage());
  }

 private:
  Effects& effects;
};

class PlainHost final: public SessionBound<peer::Host> {
 public:
  PlainHost(Lease& lease, peer::Executor::Client executor)
      : SessionBound(lease), client(kj::mv(executor)) {}
  kj::Promise<void> executor(ExecutorContext context) override {
    context.getResults().setExecutor(client);
    return kj::READY_NOW;
  }

 private:
  peer::Executor::Client client;
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  StaticHeadSource source;
  HeadWatch watch{source};
  kj::Own<GraftGate> gate = kj::refcounted<GraftGate>(watch);
  OpenGraftPolicy everybody;
  Effects effects;
  SessionLimits limits;
  Membrane::Client client = nullptr;

  explicit Fixture(SessionLimits limits = {}): limits(limits) {
    client = kj::heap<MembraneServer>(*gate, everybody,
        [this](Lease& lease, kj::Maybe<const AllowedKey&>) {
      peer::Executor::Client executor = kj::heap<SlowExecutor>(lease, effects);
      return SessionOffer{kj::heap<PlainHost>(lease, executor), executor};
    }, limits);
  }

  auto graft() { return client.graftRequest().send().wait(waitScope); }
  static auto echo(peer::Executor::Client executor) {
    auto request = executor.echoRequest();
    request.setMessage("hi");
    return request.send();
  }
};

KJ_TEST("a guest that takes it for a Host hears what it has") {
  Fixture f;
  auto host = f.client.castAs<peer::Host>();
  KJ_EXPECT_THROW_MESSAGE("it is a Membrane: `ww exec` runs it with a Host",
                          host.idRequest().send().wait(f.waitScope));
  KJ_EXPECT_THROW(UNIMPLEMENTED, host.idRequest().send().wait(f.waitScope));
}

KJ_TEST("a session works through all that it gives") {
  Fixture f;
  auto graft = f.graft();
  auto session = graft.getSession();
  KJ_EXPECT(session.getIssuedEpoch().getSeq() == 0);
  auto status = session.getStatusPoller().pollStatusRequest().send().wait(f.waitScope);
  KJ_EXPECT(status.getStatus() == stem::Status::OK);
  auto executor = session.getExtension().getHost().executorRequest().send().getExecutor();
  KJ_EXPECT(f.echo(executor).wait(f.waitScope).getResponse() == "hi");
}

// The head moves after each of the first turns of a chain of calls; `late`: the event that destroys
// bodies comes only after all else has come to rest.
void advanceAfter(kj::uint turns, bool late) {
  Fixture f;
  {
    auto graft = f.graft();
    auto extension = graft.getSession().getExtension();
    auto host = extension.getHost();
    auto piped = f.echo(host.executorRequest().send().getExecutor());
    auto direct = f.echo(extension.getExecutor());
    f.waitScope.poll(turns);
    auto before = f.effects.count;
    f.watch.store({1, nullptr, 0});
    if (late) f.waitScope.poll();
    f.watch.announce().wait(f.waitScope);
    f.waitScope.poll();

    auto outcome = [&](auto&& promise) {
      bool answered = false;
      KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
        promise.wait(f.waitScope);
        answered = true;
      })) {
        KJ_EXPECT(e->getDescription() == "staleEpoch: issued 0, current 1", turns);
      }
      return answered;
    };
    // Only what had had all of its effect before the head moved may be answered.
    kj::uint answered = outcome(piped);
    answered += outcome(direct);
    KJ_EXPECT(answered * 2 <= before, turns, late);
    KJ_EXPECT(f.effects.count == before, turns, late);
    KJ_EXPECT(!outcome(f.echo(extension.getExecutor())));
    KJ_EXPECT(!outcome(host.executorRequest().send()));
  }
  // The old wrappers are gone; the membrane goes on.
  auto fresh = f.graft();
  KJ_EXPECT(fresh.getSession().getIssuedEpoch().getSeq() == 1);
  f.echo(fresh.getSession().getExtension().getExecutor()).wait(f.waitScope);
}

KJ_TEST("the head moves after each of the first turns: atomic and event together") {
  for (kj::uint turns = 0; turns < TURNS; turns++) advanceAfter(turns, false);
}

KJ_TEST("the head moves after each of the first turns: the event late") {
  for (kj::uint turns = 0; turns < TURNS; turns++) advanceAfter(turns, true);
}

KJ_TEST("a guest that hoards sessions is refused, and may go on once it drops them") {
  SessionLimits limits;
  limits.standing = 2;
  Fixture f(limits);
  {
    auto first = f.graft(), second = f.graft();
    KJ_EXPECT_THROW_MESSAGE("overloaded: sessions", f.graft());
  }
  f.waitScope.poll();
  f.graft();
}

KJ_TEST("where an epoch is its image, a session waits for it") {
  Fixture f;
  f.gate->requireImages([]() { return kj::str("fetched"); });
  KJ_EXPECT_THROW_MESSAGE("epochPending: fetched", f.graft());
  f.gate->setImageReady(1);
  KJ_EXPECT_THROW_MESSAGE("epochPending: fetched", f.graft());
  f.gate->setImageReady(0);
  {
    auto session = f.graft();
    KJ_EXPECT(f.echo(session.getSession().getExtension().getExecutor()).wait(f.waitScope)
                  .getResponse() == "hi");
    f.watch.store({1, nullptr, 0});
    KJ_EXPECT_THROW_MESSAGE("epochPending: fetched", f.graft());
    f.watch.announce().wait(f.waitScope);
  }
  // Within a graft that has passed the door.
  f.gate->setImageReady(1);
  for (kj::uint turns = 0; turns < TURNS; turns++) {
    auto seq = f.watch.seq() + 1;
    auto graft = f.client.graftRequest().send();
    f.waitScope.poll(turns);
    f.watch.store({seq, nullptr, 0});
    f.watch.announce().wait(f.waitScope);
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
      auto issued = graft.wait(f.waitScope).getSession().getIssuedEpoch().getSeq();
      KJ_EXPECT(issued == seq - 1, "a session is of an epoch whose image is there", turns);
    })) {
      KJ_EXPECT(e->getDescription() == "epochPending: fetched", *e);
    }
    f.gate->setImageReady(seq);
  }
  f.watch.close("reorg-too-deep: gone");
  f.gate->setImageReady(7);
  KJ_EXPECT_THROW_MESSAGE("unauthorized: reorg-too-deep: gone", f.graft());
}

}  // namespace
}  // namespace ww
