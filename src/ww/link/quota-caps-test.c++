// Capabilities over a link: counted as the two parties' tables have them, and bounded.
#include <ww/link/cap-ledger.h>

#include <membrane.capnp.h>
#include <deque>
#include <random>
#include <stem.capnp.h>
#include "quota-fixture-test.h"

namespace ww {
namespace {

using Membrane = stem::Membrane<membrane::WetwareSession>;

KJ_TEST("a ledger counts what is held, however often it was sent") {
  capnp::MallocMessageBuilder message;
  auto caps = message.initRoot<capnp::rpc::Payload>().initCapTable(6);
  caps[0].setSenderHosted(1);
  caps[1].setSenderPromise(2);
  caps[2].setSenderHosted(1);
  caps[3].setReceiverHosted(3);
  caps[4].initReceiverAnswer().setQuestionId(4);
  CapLedger ledger;
  auto sent = ledger.add(caps.asReader());
  KJ_EXPECT(ledger.size() == 2 && CapLedger::countIn(caps.asReader()) == 3);
  ledger.release(1);
  KJ_EXPECT(ledger.size() == 2);
  ledger.release(7);
  ledger.release(2, 100);
  KJ_EXPECT(ledger.size() == 1);
  ledger.add(caps[1].asReader());
  ledger.release(sent);
  KJ_EXPECT(ledger.size() == 0);
}

class Silent final: public peer::Host::Server {};

// Gives new capabilities, and calls back the one that it was given, which it then keeps or not.
class Maker final: public Membrane::Server {
 public:
  Maker(kj::uint& living, kj::Vector<stem::Signer::Client>& kept): living(living), kept(kept) {}

  kj::Promise<void> graft(GraftContext context) override {
    auto session = context.getResults().initSession().initExtension();
    session.setHost(kj::heap<Counted>(living));
    if (!context.getParams().hasSigner()) co_return;
    auto signer = context.getParams().getSigner();
    auto call = signer.signRequest();
    auto answer = co_await call.send();
    if (answer.getSig().size() > 0) kept.add(kj::mv(signer));
  }

 private:
  class Counted final: public peer::Host::Server {
   public:
    explicit Counted(kj::uint& living): living(living) { ++living; }
    ~Counted() noexcept(false) { --living; }
    kj::Promise<void> id(IdContext) override { return kj::READY_NOW; }

   private:
    kj::uint& living;
  };
  kj::uint& living;
  kj::Vector<stem::Signer::Client>& kept;
};

struct Makers {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  kj::uint living = 0;
  kj::Vector<stem::Signer::Client> kept;
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  kj::Own<RpcLink> link;
  capnp::TwoPartyClient client{*pipe.ends[1]};
  Membrane::Client membrane = nullptr;

  explicit Makers(QuotaLimits quota = {}) {
    LinkLimits limits;
    limits.quota = quota;
    link = kj::heap<RpcLink>(kj::mv(pipe.ends[0]), kj::heap<Maker>(living, kept), timer,
                             limits);
    membrane = client.bootstrap().castAs<Membrane>();
    membrane.whenResolved().wait(waitScope);
  }
  ~Makers() noexcept(false) {
    kept.clear();
    link = nullptr;
    waitScope.poll();
    KJ_EXPECT(living == 0, living);
  }

  auto graft() { return membrane.graftRequest().send(); }
  kj::String failure(kj::Promise<void> promise) {
    return promise.then([]() { return kj::str(); }, [](kj::Exception&& e) {
      return kj::str(e.getDescription());
    }).wait(waitScope);
  }
};

QuotaLimits few() {
  QuotaLimits limits;
  limits.exports = 10;
  return limits;
}

KJ_TEST("who does not release what it was given gets no more, until it does") {
  Makers m(few());
  KJ_EXPECT(m.link->getUse().exports == 1, "the bootstrap");
  kj::Vector<capnp::Response<Membrane::GraftResults>> held;
  for (int i = 0; i < 9; i++) held.add(m.graft().wait(m.waitScope));
  KJ_EXPECT(m.link->getUse().exports == 10);
  KJ_EXPECT(m.failure(m.graft().ignoreResult()) == "remote exception: overloaded: exports");
  held.removeLast();
  m.waitScope.poll();
  held.add(m.graft().wait(m.waitScope));
  held.clear();
  m.waitScope.poll();
  KJ_EXPECT(m.link->getUse().exports == 1 && m.living == 0);
}

// Does not sign before it is told to.
class HeldPen final: public stem::Signer::Server {
 public:
  explicit HeldPen(kj::ForkedPromise<void>& gate): gate(gate) {}
  kj::Promise<void> sign(SignContext) override { return gate.addBranch(); }

 private:
  kj::ForkedPromise<void>& gate;
};

KJ_TEST("at four times as many, asked for all at once, its link ends") {
  Makers m(few());
  auto paf = kj::newPromiseAndFulfiller<void>();
  auto gate = paf.promise.fork();
  stem::Signer::Client pen = kj::heap<HeldPen>(gate);
  kj::Vector<kj::Promise<void>> calls;
  kj::Vector<capnp::Response<Membrane::GraftResults>> held;
  for (int i = 0; i < 60; i++) {
    auto request = m.membrane.graftRequest();
    request.setSigner(pen);
    calls.add(request.send().then([&](auto&& response) { held.add(kj::mv(response)); })
        .eagerlyEvaluate([](kj::Exception&&) {}));
  }
  m.waitScope.poll();
  KJ_EXPECT(!m.link->onDisconnect().poll(m.waitScope) && m.link->getUse().imports == 1);
  paf.fulfiller->fulfill();
  m.waitScope.poll();
  KJ_EXPECT(m.failure(m.graft().ignoreResult()).size() > 0);
  KJ_EXPECT(m.link->onDisconnect().poll(m.waitScope));
}

// A peer that speaks for itself.
KJ_TEST("a call that brings too many is refused, and what it brought is let go") {
  RawPeer peer;
  peer.open();
  LinkLimits limits;
  limits.quota = few();
  auto& link = *KJ_ASSERT_NONNULL(peer.link);
  link.setLimits(limits);
  auto bootstrap = peer.bootstrap();
  auto bring = [&](kj::uint first, kj::uint count) {
    return peer.send([&](Message::Builder m, uint32_t id) {
      auto call = m.initCall();
      call.setQuestionId(id);
      call.initTarget().initPromisedAnswer().setQuestionId(bootstrap);
      call.setInterfaceId(capnp::typeId<Host>());
      call.setMethodId(4);
      call.initParams().getContent().initAsAnyStruct(0, 0);
      auto caps = call.getParams().initCapTable(count);
      for (kj::uint i = 0; i < count; i++) caps[i].setSenderHosted(first + i);
    });
  };
  auto fits = bring(0, 10);
  peer.waitScope.poll();
  KJ_EXPECT(peer.calls == 1 && link.getUse().imports == 10);
  peer.finish(fits);
  peer.waitScope.poll();
  KJ_EXPECT(link.getUse().imports == 0);
  bring(100, 11);
  peer.waitScope.poll();
  KJ_EXPECT(peer.calls == 1 && link.getUse().imports == 0, link.getUse().imports);
  KJ_EXPECT(!peer.isOver());
}

// What an honest party does: calls with and without capabilities, on answers that are not there
// yet, given up at any point, held for a while.
struct Traffic {
  class Pen final: public stem::Signer::Server {
   public:
    Pen(kj::uint choice, size_t& pens): choice(choice), pens(pens) { ++pens; }
    ~Pen() noexcept(false) { --pens; }
    kj::Promise<void> sign(SignContext context) override {
      if (choice % 3 == 0) co_await kj::evalLater([]() {});
      if (choice % 4 == 0) kj::throwFatalException(KJ_EXCEPTION(FAILED, "no"));
      context.getResults().initSig(choice % 2);
    }
    const kj::uint choice;
    size_t& pens;
  };

  Makers& m;
  std::minstd_rand random;
  size_t pens = 0;
  kj::Vector<peer::Host::Client> hosts = {};
  std::deque<kj::Promise<void>> calls = {};

  void step() {
    switch (random() % 6) {
      case 0: case 1: {
        auto request = m.membrane.graftRequest();
        if (random() % 2 == 0) request.setSigner(kj::heap<Pen>(random(), pens));
        auto promise = request.send();
        if (random() % 2 == 0) hosts.add(promise.getSession().getExtension().getHost());
        add(promise.ignoreResult());
        return;
      }
      case 2: case 3:
        if (hosts.size() > 0) {
          add(hosts[random() % hosts.size()].idRequest().send().ignoreResult());
        }
        return;
      case 4:
        if (hosts.size() > 30 || (hosts.size() > 0 && random() % 4 == 0)) {
          hosts[random() % hosts.size()] = kj::mv(hosts.back());
          hosts.removeLast();
        }
        return;
      default:
        if (!calls.empty()) calls.pop_front();  // which gives it up, if it is not done
        if (m.kept.size() > 20) m.kept.clear();
        return;
    }
  }
  void add(kj::Promise<void> call) {
    calls.push_back(call.eagerlyEvaluate([](kj::Exception&&) {}));
    if (calls.size() > 200) calls.pop_front();
  }
};

KJ_TEST("after honest traffic of every kind, what is counted is the truth: nothing") {
  for (kj::uint seed = 1; seed <= 20; seed++) {
    Makers m;
    Traffic traffic{m, std::minstd_rand(seed)};
    for (int i = 0; i < 3000; i++) {
      traffic.step();
      if (traffic.random() % 3 == 0) m.waitScope.poll(traffic.random() % 20);
    }
    traffic.calls.clear();
    traffic.hosts.clear();
    m.waitScope.poll();  // calls that were given up run to their ends
    KJ_EXPECT(m.link->getUse().imports == traffic.pens);
    m.kept.clear();
    m.waitScope.poll();
    auto use = m.link->getUse();
    KJ_EXPECT(use.exports == 1 && use.imports == 0 && use.heldBytes == 0 && use.calls == 0, seed,
              use.exports, use.imports, use.heldBytes, use.calls);
    KJ_EXPECT(use.waits == 0, seed, use.waits);
    KJ_EXPECT(m.living == 0);
    m.graft().wait(m.waitScope);
  }
}

}  // namespace
}  // namespace ww
