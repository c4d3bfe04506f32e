#include <ww/epoch/session-bound.h>

#include <kj/test.h>
#include <kj/vector.h>
#include <peer.capnp.h>
#include <ww/epoch/head-watch.h>

namespace ww {
namespace {

// echo() answers at once; runBytes() waits for the test, twice.
class TwoStepExecutor final: public SessionBound<peer::Executor> {
 public:
  using SessionBound::SessionBound;

  kj::Promise<void> echo(EchoContext context) override {
    ++echoes;
    context.getResults().setResponse(context.getParams().getMessage());
    return kj::READY_NOW;
  }
  kj::Promise<void> runBytes(RunBytesContext context) override {
    ++begun;
    co_await step();
    if (revokesItself) lease->revoke("by its own body");
    if (checks) lease->check();
    ++halfway;
    co_await step();
    ++finished;
  }
  kj::Promise<void> step() {
    auto paf = kj::newPromiseAndFulfiller<void>();
    steps.add(kj::mv(paf.fulfiller));
    return kj::mv(paf.promise);
  }
  void release() {
    auto now = kj::mv(steps);
    for (auto& each: now) each->fulfill();
  }

  int echoes = 0, begun = 0, halfway = 0, finished = 0;
  bool revokesItself = false, checks = false;
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> steps;
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  StaticHeadSource source;
  HeadWatch watch{source};
  kj::Own<Lease> lease = watch.issue();
  kj::Own<TwoStepExecutor> owned = kj::heap<TwoStepExecutor>(*lease);
  TwoStepExecutor& server = *owned;
  peer::Executor::Client client = kj::mv(owned);

  void settle() { waitScope.poll(); }
};

KJ_TEST("calls pass while the lease stands, and are refused at dispatch afterwards") {
  Fixture f;
  auto request = f.client.echoRequest();
  request.setMessage("hi");
  KJ_EXPECT(request.send().wait(f.waitScope).getResponse() == "hi");
  f.lease->revoke("x");
  KJ_EXPECT_THROW_MESSAGE("revoked: x", f.client.echoRequest().send().wait(f.waitScope));
  KJ_EXPECT(f.server.echoes == 1);
}

KJ_TEST("a call sent before the end and dispatched after it is refused") {
  Fixture f;
  auto call = f.client.echoRequest().send();
  f.watch.store({1, nullptr, 0});
  KJ_EXPECT_THROW_MESSAGE("staleEpoch: issued 0, current 1", call.wait(f.waitScope));
  KJ_EXPECT(f.server.echoes == 0);
}

KJ_TEST("a body in flight is destroyed when the lease ends") {
  Fixture f;
  auto call = f.client.runBytesRequest().send();
  f.settle();
  KJ_EXPECT(f.server.begun == 1);
  f.lease->finish("x");
  f.settle();
  f.server.release();
  KJ_EXPECT_THROW_MESSAGE("ended: x", call.wait(f.waitScope));
  KJ_EXPECT(f.server.halfway == 0);
}

KJ_TEST("a body that ends its own session goes no further than its next wait") {
  Fixture f;
  f.server.revokesItself = true;
  auto call = f.client.runBytesRequest().send();
  auto other = f.client.runBytesRequest().send();
  f.settle();
  f.server.release();
  KJ_EXPECT_THROW_MESSAGE("revoked: by its own body", call.wait(f.waitScope));
  KJ_EXPECT_THROW_MESSAGE("revoked: by its own body", other.wait(f.waitScope));
  f.server.release();
  f.settle();
  KJ_EXPECT(f.server.finished == 0);
}

KJ_TEST("check() stops a body that resumes between the two halves of an advance") {
  for (bool checks: {false, true}) {
    Fixture f;
    f.server.checks = checks;
    auto call = f.client.runBytesRequest().send();
    f.settle();
    f.watch.store({1, nullptr, 0});  // the event that destroys bodies is still to come
    f.server.release();
    f.settle();
    KJ_EXPECT(f.server.halfway == (checks ? 0 : 1));
    f.watch.announce().wait(f.waitScope);
    KJ_EXPECT_THROW_MESSAGE("staleEpoch: issued 0, current 1", call.wait(f.waitScope));
  }
}

KJ_TEST("a server keeps its lease") {
  Fixture f;
  f.lease = nullptr;
  KJ_EXPECT(f.watch.leaseCount() == 1);
  f.client = nullptr;
  KJ_EXPECT(f.watch.leaseCount() == 0);
}

}  // namespace
}  // namespace ww
