#include <ww/membrane/early-graft-policy.h>

#include <kj/test.h>
#include <ww/base/error.h>

namespace ww {
namespace {

// Says what it is told to, and notes what it was asked.
struct FakePolicy final: public GraftPolicy {
  kj::Vector<kj::Own<kj::PromiseFulfiller<Admission>>> asked;
  kj::Vector<bool> withSigner;

  kj::Promise<Admission> admit(kj::Maybe<stem::Signer::Client> signer, uint64_t) override {
    auto paf = kj::newPromiseAndFulfiller<Admission>();
    asked.add(kj::mv(paf.fulfiller));
    withSigner.add(signer != nullptr);
    return kj::mv(paf.promise);
  }
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  FakePolicy inner;
  EarlyGraftPolicy policy{inner};

  void ask(uint64_t seq) { policy.ask(kj::heap<stem::Signer::Server>(), seq); }
  kj::Promise<bool> graft(uint64_t seq) {
    return policy.admit(nullptr, seq).then([](Admission&&) { return true; },
                                           [](kj::Exception&&) { return false; })
        .eagerlyEvaluate(nullptr);
  }
  void refuse(size_t i) { inner.asked[i]->reject(unauthorized("a test")); }
};

KJ_TEST("an answer that is there admits the graft; the next is asked anew") {
  Fixture f;
  f.ask(7);
  f.inner.asked[0]->fulfill(Admission());
  f.waitScope.poll();
  KJ_EXPECT(f.graft(7).wait(f.waitScope));
  auto next = f.graft(7);
  KJ_EXPECT(!next.poll(f.waitScope), "it was taken");
  f.refuse(2);
  KJ_EXPECT(!next.wait(f.waitScope));
}

KJ_TEST("an answer that comes while the graft waits admits it") {
  Fixture f;
  f.ask(7);
  auto graft = f.graft(7);
  KJ_EXPECT(!graft.poll(f.waitScope));
  f.inner.asked[0]->fulfill(Admission());
  KJ_EXPECT(graft.wait(f.waitScope));
}

KJ_TEST("an early refusal, and silence, leave it to the graft's own signer") {
  for (bool refused: {true, false}) {
    Fixture f;
    f.ask(7);
    if (refused) f.refuse(0);
    auto graft = f.graft(7);
    KJ_EXPECT(!graft.poll(f.waitScope));
    f.inner.asked[1]->fulfill(Admission());
    KJ_EXPECT(graft.wait(f.waitScope));
  }
}

KJ_TEST("what the graft's own signer is refused for, silence before does not help") {
  Fixture f;
  f.ask(7);
  auto graft = f.graft(7);
  f.refuse(1);
  KJ_EXPECT(!graft.wait(f.waitScope));
}

KJ_TEST("an answer for another epoch is worth nothing") {
  Fixture f;
  f.ask(7);
  f.inner.asked[0]->fulfill(Admission());
  auto graft = f.graft(8);
  KJ_EXPECT(!graft.poll(f.waitScope));
  f.refuse(1);
  KJ_EXPECT(!graft.wait(f.waitScope));
}

}  // namespace
}  // namespace ww
