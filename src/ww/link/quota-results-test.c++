// Results that no Return tells of: they stay until the peer finishes its question, and are counted.
#include "quota-fixture-test.h"

namespace ww {
namespace {

// Answers with as much as one read gives.
class Talker final: public peer::ByteStream::Server {
 public:
  kj::Promise<void> read(ReadContext context) override {
    auto data = context.getResults(capnp::MessageSize{8200, 0}).initData(64 << 10);
    memset(data.begin(), 1, data.size());
    return kj::READY_NOW;
  }
};

enum class To { PEER, ITSELF, NOBODY };

struct Reader: RawPeer {
  uint32_t boot = bootstrap();

  Reader(): RawPeer(Over::STREAM, kj::heap<Talker>()) {}
  uint32_t read(To to) {
    auto id = send([&](Message::Builder m, uint32_t id) {
      auto call = m.initCall();
      call.setQuestionId(id);
      call.initTarget().initPromisedAnswer().setQuestionId(boot);
      call.setInterfaceId(capnp::typeId<peer::ByteStream>());
      call.setMethodId(0);
      call.initParams().getContent().initAs<peer::ByteStream::ReadParams>().setMaxBytes(65536);
      if (to == To::ITSELF) call.getSendResultsTo().setYourself();
      call.setOnlyPromisePipeline(to == To::NOBODY);
    });
    waitScope.poll();
    return id;
  }
  LinkUse use() { return KJ_ASSERT_NONNULL(link)->getUse(); }
};

KJ_TEST("results that go to the peer itself are few until it takes them") {
  Reader peer;
  for (int i = 0; i < 100; i++) {  // one at a time, as an honest peer has them
    peer.finish(peer.read(To::ITSELF));
    peer.waitScope.poll();
  }
  KJ_EXPECT(peer.use().calls == 1);  // the bootstrap
  for (int i = 0; i < 4; i++) peer.read(To::ITSELF);
  KJ_EXPECT(!peer.isOver());
  peer.read(To::ITSELF);
  peer.untilOver();
}

KJ_TEST("results that nobody wants count as more than a read's until their call is finished") {
  Reader peer;
  auto before = peer.use().heldBytes;
  kj::Vector<uint32_t> reads;
  for (int i = 0; i < 200; i++) reads.add(peer.read(To::NOBODY));
  KJ_EXPECT(!peer.isOver());
  auto held = peer.use().heldBytes;
  KJ_EXPECT(held > 100 * (64 << 10) && held <= LIMITS.heldBytes, held);
  for (auto id: reads) peer.finish(id);
  peer.waitScope.poll();
  KJ_EXPECT(peer.use().heldBytes < before + reads.size() * 1024, peer.use().heldBytes);
  peer.finish(peer.read(To::PEER));
  KJ_EXPECT(!peer.isOver() && peer.use().calls == 1);
}

// A call for pipelining only that is given so many capabilities: answers of the bootstrap, or such
// as are none.
void callGiven(RawPeer& peer, uint32_t boot, kj::uint caps, bool isAnswer) {
  auto id = peer.send([&](Message::Builder m, uint32_t id) {
    auto call = m.initCall();
    call.setQuestionId(id);
    call.initTarget().initPromisedAnswer().setQuestionId(boot);
    call.setInterfaceId(capnp::typeId<Host>());
    call.setMethodId(4);
    call.setOnlyPromisePipeline(true);
    for (auto cap: call.initParams().initCapTable(caps)) {
      if (isAnswer) cap.initReceiverAnswer().setQuestionId(boot);
      else cap.setReceiverHosted(1'000'000);
    }
  });
  peer.finish(id);
  peer.waitScope.poll();
}

KJ_TEST("a call for pipelining only gives back at its finish what its capabilities count for") {
  for (bool isAnswer: {false, true}) {
    RawPeer peer;
    auto boot = peer.bootstrap();
    for (kj::uint i = 0; i < 5000; i++) callGiven(peer, boot, 1, isAnswer);
    KJ_EXPECT(peer.calls == 5000 && !peer.isOver(), isAnswer, peer.calls);
    KJ_EXPECT(KJ_ASSERT_NONNULL(peer.link)->getUse().heldBytes < 5000 * 400);
  }
}

KJ_TEST("but not if it was given many") {
  RawPeer peer;
  auto boot = peer.bootstrap();
  for (kj::uint i = 0; i < 100; i++) callGiven(peer, boot, 1000, false);
  KJ_EXPECT(peer.calls > 0 && peer.calls <= LIMITS.heldBytes / (1000 * 500), peer.calls);
  KJ_EXPECT(!peer.isOver());
}

KJ_TEST("a large call for pipelining only has its turn until it is finished and nothing waits") {
  for (bool isWaitedFor: {false, true}) {
    RawPeer peer;
    LinkLimits limits;
    limits.quota.largeInterface = capnp::typeId<Host>();
    limits.quota.largeMethod = 4;
    KJ_ASSERT_NONNULL(peer.link)->setLimits(limits);
    auto boot = peer.bootstrap();
    auto callLarge = [&]() {
      auto id = peer.send([&](Message::Builder m, uint32_t id) {
        auto call = m.initCall();
        call.setQuestionId(id);
        call.initTarget().initPromisedAnswer().setQuestionId(boot);
        call.setInterfaceId(capnp::typeId<Host>());
        call.setMethodId(4);
        call.setOnlyPromisePipeline(true);
        call.initParams().getContent().initAs<capnp::Data>(LIMITS.messageBytes);
      });
      peer.waitScope.poll();
      return id;
    };
    auto first = callLarge();
    auto second = callLarge();
    KJ_EXPECT(peer.calls == 1);
    peer.finish(second);
    if (isWaitedFor) peer.callOn(first);
    peer.finish(first);
    peer.finish(callLarge());
    KJ_EXPECT(peer.calls == (isWaitedFor ? 1 : 2) && !peer.isOver(), isWaitedFor, peer.calls);
  }
}

}  // namespace
}  // namespace ww
