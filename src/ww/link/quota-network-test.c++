#include "quota-fixture-test.h"

#include <malloc.h>

namespace ww {
namespace {

KJ_TEST("calls in flight above the limit are refused, and room comes back") {
  Peer peer;
  peer.host.whenResolved().wait(peer.waitScope);
  auto burst = [&](kj::uint count) {
    kj::Vector<kj::Promise<void>> calls;
    for (kj::uint i = 0; i < count; i++) calls.add(call(peer.host));
    peer.waitScope.poll();
    peer.open();
    return peer.answered(calls, "overloaded: calls");
  };
  KJ_EXPECT(burst(LIMITS.calls + 100) == LIMITS.calls);
  for (int i = 0; i < 5; i++) KJ_EXPECT(burst(LIMITS.calls) == LIMITS.calls);
}

KJ_TEST("calls that were given up or that failed leave nothing counted") {
  Peer peer;
  peer.host.whenResolved().wait(peer.waitScope);
  peer.open();
  for (int round = 0; round < 20; round++) {
    kj::Vector<kj::Promise<void>> calls;
    for (kj::uint i = 0; i < LIMITS.calls / 2; i++) {
      calls.add(call(peer.host));
      calls.add(call(onAnswerOf(peer.host)));
    }
    peer.waitScope.poll(round);
    calls.clear();
    peer.waitScope.poll();
    KJ_EXPECT_THROW(UNIMPLEMENTED, peer.host.idRequest().send().wait(peer.waitScope));
  }
  kj::Vector<kj::Promise<void>> calls;
  for (kj::uint i = 0; i < LIMITS.calls; i++) calls.add(call(peer.host));
  KJ_EXPECT(peer.answered(calls, "") == LIMITS.calls);
}

KJ_TEST("what unanswered calls hold is bounded in bytes too") {
  Peer peer;
  peer.host.whenResolved().wait(peer.waitScope);
  constexpr kj::uint BYTES = 5 << 20;
  kj::Vector<kj::Promise<void>> calls;
  for (int i = 0; i < 6; i++) calls.add(large(peer.host, BYTES));
  peer.waitScope.poll();
  peer.open();
  KJ_EXPECT(peer.answered(calls, "overloaded: heldBytes") == LIMITS.heldBytes / BYTES);
  call(peer.host).wait(peer.waitScope);
}

KJ_TEST("a call above 8 MiB is refused, but for one kind, one at a time") {
  Peer peer;
  peer.host.whenResolved().wait(peer.waitScope);
  auto refusal = [&](kj::uint bytes) {
    auto promise = large(peer.host, bytes).then([]() { return kj::str(); },
        [](kj::Exception&& e) { return kj::str(e.getDescription()); });
    return promise.poll(peer.waitScope) ? promise.wait(peer.waitScope) : kj::str("waits");
  };
  KJ_EXPECT(refusal((8 << 20) - 4096) == "waits");
  KJ_EXPECT(refusal(8 << 20) == "remote exception: overloaded: message");
  LinkLimits limits;
  limits.quota.largeInterface = capnp::typeId<Host>();
  limits.quota.largeMethod = 4;
  KJ_ASSERT_NONNULL(peer.link)->setLimits(limits);
  kj::Vector<kj::Promise<void>> calls;
  for (int i = 0; i < 3; i++) calls.add(large(peer.host, 40 << 20));
  for (int i = 0; i < 3; i++) calls.add(large(peer.host, 2 << 20));  // beside it
  peer.waitScope.poll();
  KJ_EXPECT(peer.calls == 1 + 1 + 3, peer.calls);
  peer.open();
  KJ_EXPECT(peer.answered(calls, "overloaded: message") == 4);
  large(peer.host, 40 << 20).wait(peer.waitScope);  // there is room again
}

KJ_TEST("a chain of pipelined calls is refused from the limit on, to its end") {
  Peer peer;
  peer.host.whenResolved().wait(peer.waitScope);
  kj::Vector<kj::Promise<void>> calls;
  auto last = peer.host;
  for (kj::uint i = 0; i < 2 * LIMITS.depth; i++) {
    auto promise = last.executorRequest().send();
    last = promise.getExecutor().castAs<Host>();
    calls.add(promise.ignoreResult());
  }
  peer.waitScope.poll();
  peer.open();
  // Each step counts twice: the call, and the field of its answer.
  KJ_EXPECT(peer.answered(calls, "overloaded: pipelining") == LIMITS.depth / 2 + 1);
  call(peer.host).wait(peer.waitScope);
}

// A promise of ours became another one.
void becomePromise(RawPeer& peer, uint32_t promise, uint32_t other) {
  peer.send([&](Message::Builder m, uint32_t) {
    auto resolve = m.initResolve();
    resolve.setPromiseId(promise);
    resolve.initCap().setSenderPromise(other);
  });
}

// It became what a call of ours answers.
void becomeAnswer(RawPeer& peer, uint32_t promise, uint32_t question) {
  peer.send([&](Message::Builder m, uint32_t) {
    auto resolve = m.initResolve();
    resolve.setPromiseId(promise);
    resolve.initCap().initReceiverAnswer().setQuestionId(question);
  });
}

// Calls with a promise of ours, the first of so many that each become the next, under `numbers`
// numbers.
void sendPromises(RawPeer& peer, kj::uint count, kj::uint numbers = kj::maxValue) {
  peer.callOn(peer.bootstrap(), false, 0u);
  for (kj::uint i = 0; i < count; i++) {
    becomePromise(peer, i % numbers, (i + 1) % numbers);
    peer.waitScope.poll();
  }
}

KJ_TEST("promises that become promises without end end their link") {
  for (kj::uint numbers: {2u, 3u, 1000u}) {
    {
      RawPeer few;
      sendPromises(few, LIMITS.depth, numbers);
      KJ_EXPECT(!few.isOver());
    }
    RawPeer peer;
    sendPromises(peer, LIMITS.depth + 1, numbers);
    peer.untilOver();
  }
}

KJ_TEST("a promise that becomes itself ends its link") {
  for (kj::uint count: {0u, 1u, 2u, 5u}) {
    RawPeer peer;
    sendPromises(peer, count);
    becomePromise(peer, count, count);
    peer.untilOver();
  }
}

KJ_TEST("so does one that becomes itself as it is named the first time") {
  RawPeer peer;
  peer.bootstrap();
  becomePromise(peer, 5, 5);
  peer.untilOver();
}

KJ_TEST("a promise that has been released is another one under the same number") {
  RawPeer peer;
  auto& link = *KJ_ASSERT_NONNULL(peer.link);
  auto bootstrap = peer.bootstrap();
  auto use = [&](uint32_t first, uint32_t second) {
    auto one = peer.callOn(bootstrap, false, first), other = peer.callOn(bootstrap, false, second);
    becomePromise(peer, first, second);
    peer.waitScope.poll();
    peer.open();
    peer.waitScope.poll();
    peer.finish(one);
    peer.finish(other);
    peer.waitScope.poll();
    KJ_EXPECT(link.getUse().imports == 0 && link.getUse().waits == 0);
  };
  for (int i = 0; i < 200; i++) {
    use(1, 2);
    use(2, 1);
  }
  KJ_EXPECT(!peer.isOver());
}

KJ_TEST("a promise that becomes an answer again and again adds nothing") {
  RawPeer peer;
  auto& link = *KJ_ASSERT_NONNULL(peer.link);
  auto bootstrap = peer.bootstrap();
  for (int i = 0; i < 900; i++) peer.callOn(bootstrap, false, 7u);
  auto last = peer.callOn(bootstrap);
  becomeAnswer(peer, 7, last);
  peer.waitScope.poll();
  auto before = link.getUse();
  KJ_EXPECT(before.waits > 900 && before.imports == 0, before.waits);
  for (int i = 0; i < 2000; i++) becomeAnswer(peer, 7, last);
  peer.waitScope.poll();
  auto after = link.getUse();
  KJ_EXPECT(after.waits == before.waits && after.imports == 0, after.waits);
  KJ_EXPECT(after.heldBytes == before.heldBytes && !peer.isOver());
}

// Without an RPC system, which would release it.
KJ_TEST("a promise that becomes something twice before it is released ends its link") {
  struct Nobody final: QuotaNetwork::Watcher {
    bool mayGoOn() override { return true; }
    void heardLast() override {}
    void onHit(kj::StringPtr) override {}
  } watcher;
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  auto pipe = kj::newTwoWayPipe();
  capnp::TwoPartyVatNetwork network(*pipe.ends[0], capnp::rpc::twoparty::Side::SERVER);
  QuotaNetwork counted(network, LIMITS, watcher);
  auto connection = counted.accept().wait(waitScope);
  auto receive = [&](auto&& fill) {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<Message>());
    auto sent = capnp::writeMessage(*pipe.ends[1], message);
    connection->receiveIncomingMessage().wait(waitScope);
    sent.wait(waitScope);
  };
  receive([](Message::Builder m) {
    m.initCall().initParams().initCapTable(1)[0].setSenderPromise(7);
  });
  auto resolve = [](Message::Builder m) {
    auto resolve = m.initResolve();
    resolve.setPromiseId(7);
    resolve.initCap().initReceiverAnswer().setQuestionId(1);
  };
  receive(resolve);
  KJ_EXPECT_THROW_MESSAGE("resolved twice", receive(resolve));
}

KJ_TEST("calls that wait for each other through promises are a chain like any other") {
  for (bool quiet: {false, true}) {
    RawPeer peer;
    auto bootstrap = peer.bootstrap();
    auto first = peer.callOn(bootstrap, quiet, 0u), last = first;
    kj::uint i = 0;
    auto reason = kj::runCatchingExceptions([&]() {
      for (; i < 9000 && !peer.isOver(); i++) {
        auto now = peer.callOn(bootstrap, quiet, i + 1);
        becomeAnswer(peer, i, now);
        peer.waitScope.poll();
        if (quiet && last != first) peer.finish(last);
        last = now;
      }
    });
    KJ_EXPECT(i > LIMITS.depth / 2 && i <= LIMITS.depth + 1, i);
    peer.untilOver();
  }
}

KJ_TEST("calls that wait for more than can be told are refused") {
  RawPeer peer;
  auto& link = *KJ_ASSERT_NONNULL(peer.link);
  auto bootstrap = peer.bootstrap();
  peer.waitScope.poll();
  auto give = [&](kj::uint count) {
    peer.send([&](Message::Builder m, uint32_t id) {
      auto call = m.initCall();
      call.setQuestionId(id);
      call.initTarget().initPromisedAnswer().setQuestionId(bootstrap);
      call.setInterfaceId(capnp::typeId<Host>());
      call.setMethodId(4);
      call.initParams().getContent().initAsAnyStruct(0, 0);
      for (auto cap: call.getParams().initCapTable(count)) cap.setSenderPromise(9);
    });
    peer.waitScope.poll();
  };
  give(9000);
  KJ_EXPECT(peer.calls == 1);
  for (int i = 0; i < 20; i++) give(9000);
  KJ_EXPECT(peer.calls == 1 && link.getUse().waits < 10'000, link.getUse().waits);
  give(900);
  KJ_EXPECT(peer.calls == 2 && !peer.isOver());
}

KJ_TEST("a call that is given its own answer, or that of one which waits for it, ends its link") {
  {
    RawPeer peer;
    auto first = peer.callOn(peer.bootstrap(), false, 0u);
    becomeAnswer(peer, 0, first);
    peer.untilOver();
  }
  {
    RawPeer peer;
    auto bootstrap = peer.bootstrap();
    auto first = peer.callOn(bootstrap, false, 0u), second = peer.callOn(bootstrap, false, 1u);
    becomeAnswer(peer, 0, second);  // as an honest peer may
    KJ_EXPECT(!peer.isOver());
    becomeAnswer(peer, 1, first);
    peer.untilOver();
  }
}

KJ_TEST("an endless chain ends its link, and the node lives") {
  RawPeer peer;
  auto last = peer.callOn(peer.bootstrap());
  auto reason = kj::runCatchingExceptions([&]() {
    for (int i = 0; i < 30'000; i++) last = peer.callOn(last);
  });
  KJ_EXPECT(reason != nullptr, "nobody hung up");
  peer.untilOver();
}

KJ_TEST("a chain whose questions are finished as it grows is no way around") {
  for (bool quiet: {false, true}) {
    RawPeer peer;
    auto last = peer.callOn(peer.bootstrap());
    auto reason = kj::runCatchingExceptions([&]() {
      for (int i = 0; i < 30'000; i++) {
        auto now = peer.callOn(last, quiet);
        peer.finish(last);
        last = now;
      }
    });
    peer.link = nullptr;
    peer.waitScope.poll();
  }
}

KJ_TEST("a chain through parameters, each finished as it grows, is no way around either") {
  RawPeer peer;
  auto bootstrap = peer.bootstrap();
  auto last = peer.callOn(bootstrap, true);
  auto reason = kj::runCatchingExceptions([&]() {
    for (int i = 0; i < 30'000; i++) {
      auto now = peer.send([&](Message::Builder m, uint32_t id) {
        auto call = m.initCall();
        call.setQuestionId(id);
        call.initTarget().initPromisedAnswer().setQuestionId(bootstrap);
        call.setInterfaceId(capnp::typeId<Host>());
        call.setMethodId(4);
        auto params = call.initParams();
        params.getContent().initAsAnyStruct(0, 0);
        auto given = params.initCapTable(1)[0].initReceiverAnswer();
        given.setQuestionId(last);
        given.initTransform(1)[0].setGetPointerField(0);
        call.setOnlyPromisePipeline(true);
      });
      peer.finish(last);
      last = now;
    }
  });
  peer.link = nullptr;
  peer.waitScope.poll();
}

KJ_TEST("calls that nobody will hear of are bounded over a link's life") {
  RawPeer peer;
  auto bootstrap = peer.bootstrap();
  for (kj::uint i = 0; i < LIMITS.unheard(); i++) peer.finish(peer.callOn(bootstrap, true));
  peer.waitScope.poll();
  auto before = peer.calls;
  for (int i = 0; i < 10; i++) peer.finish(peer.callOn(bootstrap, true));
  peer.waitScope.poll();
  KJ_EXPECT(before == LIMITS.unheard() && peer.calls == before);
}

KJ_TEST("answers that are never finished are bounded") {
  RawPeer peer;
  LinkLimits limits;
  limits.quota.calls = 5;
  limits.quota.answers = 10;
  KJ_ASSERT_NONNULL(peer.link)->setLimits(limits);
  for (int i = 0; i < 100; i++) peer.finish(peer.bootstrap());  // what is finished leaves no trace
  for (kj::uint i = 0; i < 10 + limits.quota.refused(); i++) {
    peer.bootstrap();
    peer.waitScope.poll();  // and is answered
  }
  KJ_EXPECT(!peer.isOver());
  peer.bootstrap();
  peer.untilOver();
}

KJ_TEST("a peer that reads nothing of what it is told is left") {
  RawPeer peer;
  LinkLimits limits;
  limits.unsentBytes = 1 << 20;
  peer.reading = nullptr;
  KJ_ASSERT_NONNULL(peer.link)->setLimits(limits);
  kj::uint answers = 0;
  for (; !peer.isOver() && answers < 2000; answers++) peer.finish(peer.bootstrap());
  // What is counted is what they take, which is more than the few words that they have.
  KJ_EXPECT(answers > 500 && answers < 1000, answers);
}

KJ_TEST("what is counted of it is what it takes, whatever it was told") {
  RawPeer peer;
  peer.open();
  LinkLimits limits;
  limits.unsentBytes = 4 << 20;
  auto& link = *KJ_ASSERT_NONNULL(peer.link);
  auto bootstrap = peer.bootstrap();
  peer.waitScope.poll();
  peer.reading = nullptr;
  link.setLimits(limits);
  auto before = mallinfo2().uordblks;
  auto held = before;
  for (int i = 0; !peer.isOver() && i < 20'000; i++) {
    held = mallinfo2().uordblks;
    peer.finish(peer.callOn(bootstrap));
  }
  KJ_EXPECT(peer.isOver());
  KJ_EXPECT(held - before < 2 * limits.unsentBytes, held - before);
}

KJ_TEST("a peer that reads nothing of what it is asked is left, though it says nothing") {
  RawPeer peer;
  LinkLimits limits;
  limits.unsentBytes = 1 << 20;
  peer.reading = nullptr;
  auto& link = *KJ_ASSERT_NONNULL(peer.link);
  link.setLimits(limits);
  auto theirs = link.bootstrap().castAs<Host>();
  kj::Vector<kj::Promise<void>> calls;
  for (kj::uint i = 0; i < 900; i++) calls.add(theirs.idRequest().send().ignoreResult());
  KJ_EXPECT(!peer.isOver());  // these are being written
  for (kj::uint i = 0; i < 1100; i++) calls.add(theirs.idRequest().send().ignoreResult());
  KJ_EXPECT(peer.isOver());
}

KJ_TEST("it is told at once that a peer is no longer heard, though it is yet to be answered") {
  RawPeer peer;
  peer.finish(peer.bootstrap());
  peer.reading = nullptr;
  peer.finish(peer.bootstrap());
  auto ended = KJ_ASSERT_NONNULL(peer.link)->onEnd();
  KJ_EXPECT(!ended.poll(peer.waitScope));
  peer.wire->shutdownWrite();
  KJ_EXPECT(ended.poll(peer.waitScope) && !peer.isOver());
}

KJ_TEST("a question with the number of one that stands ends the link") {
  RawPeer peer;
  auto bootstrap = peer.bootstrap();
  peer.callOn(bootstrap);
  --peer.next;
  peer.callOn(bootstrap);
  peer.untilOver();
}

}  // namespace
}  // namespace ww
