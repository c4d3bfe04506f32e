#include <ww/link/loop-link.h>

#include <kj/async-io.h>
#include <kj/test.h>
#include <kj/thread.h>
#include <peer.capnp.h>
#include <ww/base/inbox.h>

namespace ww {
namespace {

// Answers its echo, and never its runBytes.
class Executor final: public peer::Executor::Server {
 public:
  kj::Promise<void> echo(EchoContext context) override {
    auto message = context.getParams().getMessage();
    if (message == "fail") return KJ_EXCEPTION(FAILED, "ended: as it was asked to");
    context.getResults().setResponse(message);
    return kj::READY_NOW;
  }
  kj::Promise<void> runBytes(RunBytesContext context) override {
    return kj::NEVER_DONE;
  }
  kj::Promise<void> cells(CellsContext context) override { return kj::READY_NOW; }
};

template <typename Promise>
void expectDisconnected(Promise&& promise, kj::WaitScope& waitScope) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { promise.wait(waitScope); })) {
    KJ_EXPECT(e->getType() == kj::Exception::Type::DISCONNECTED, *e);
  } else {
    KJ_FAIL_EXPECT("the other side is gone");
  }
}

// The other side, on a thread of its own, until it is dropped.
class Other {
 public:
  explicit Other(kj::Own<LoopLink::Seat> seat)
      : thread([this, seat = kj::mv(seat)]() mutable { run(kj::mv(seat)); }) {}
  ~Other() noexcept(false) { end(); }

  void end() { inbox->post([this]() { stop->fulfill(); }); }

 private:
  kj::Own<const LoopInbox> inbox = kj::atomicRefcounted<LoopInbox>();
  kj::Own<kj::PromiseFulfiller<void>> stop;
  kj::Thread thread;

  void run(kj::Own<LoopLink::Seat> seat) {
    auto io = kj::setupAsyncIo();
    auto paf = kj::newPromiseAndFulfiller<void>();
    stop = kj::mv(paf.fulfiller);
    auto serving = inbox->serve().eagerlyEvaluate(nullptr);
    LoopLink link(kj::mv(seat), kj::heap<Executor>());
    paf.promise.wait(io.waitScope);
  }
};

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  LoopLink::Pair pair = LoopLink::makePair();
  LoopLink link{kj::mv(pair.first), kj::heap<Executor>()};
  peer::Executor::Client theirs = link.bootstrap().castAs<peer::Executor>();

  auto echo(kj::StringPtr text) {
    auto request = theirs.echoRequest();
    request.setMessage(text);
    return request.send();
  }
};

KJ_TEST("calls of one loop are answered by another") {
  Fixture f;
  auto early = f.echo("before it is there");
  Other other(kj::mv(f.pair.second));
  KJ_EXPECT(early.wait(f.io.waitScope).getResponse() == "before it is there");
  auto large = kj::heapString(8 << 20);
  memset(large.begin(), 'x', large.size());
  kj::Vector<kj::Promise<void>> all;
  for (int i = 0; i < 1000; i++) {
    all.add(f.echo(kj::str(i)).then([i](auto response) {
      KJ_EXPECT(response.getResponse() == kj::str(i));
    }));
  }
  KJ_EXPECT(f.echo(large).wait(f.io.waitScope).getResponse() == large);
  kj::joinPromises(all.releaseAsArray()).wait(f.io.waitScope);
  KJ_EXPECT_THROW_MESSAGE("ended: as it was asked to", f.echo("fail").wait(f.io.waitScope));
}

KJ_TEST("both sides of a link may be of one loop, and each ends when the other goes") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  auto pair = LoopLink::makePair();
  LoopLink first(kj::mv(pair.first), kj::heap<Executor>());
  auto second = kj::heap<LoopLink>(kj::mv(pair.second), kj::heap<Executor>());
  auto theirs = second->bootstrap().castAs<peer::Executor>();
  auto request = theirs.echoRequest();
  request.setMessage("hello");
  KJ_EXPECT(request.send().wait(waitScope).getResponse() == "hello");
  auto call = theirs.runBytesRequest().send();
  auto ours = first.bootstrap().castAs<peer::Executor>();
  auto back = ours.runBytesRequest().send();
  waitScope.poll();
  second = nullptr;
  expectDisconnected(call, waitScope);
  expectDisconnected(back, waitScope);
  expectDisconnected(ours.echoRequest().send(), waitScope);
}

KJ_TEST("calls under way fail when the other loop ends") {
  Fixture f;
  auto other = kj::heap<Other>(kj::mv(f.pair.second));
  f.echo("hello").wait(f.io.waitScope);
  auto call = f.theirs.runBytesRequest().send();
  other = nullptr;
  expectDisconnected(call, f.io.waitScope);
}

}  // namespace
}  // namespace ww
