// A provider by JSON-RPC over HTTP and over WebSockets: what is read, what is refused, and what a
// provider that misbehaves costs.
#include <kj/test.h>
#include <ww/stem/http-rpc.h>
#include <ww/stem/provider-service-test.h>
#include <ww/stem/rpc-chain-reader.h>
#include <ww/stem/web-socket-rpc.h>

namespace ww {
namespace {

struct Entropy final: public kj::EntropySource {
  void generate(kj::ArrayPtr<kj::byte> buffer) override {
    memset(buffer.begin(), 7, buffer.size());
  }
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  SimChain chain;
  EthAddress contract{{0xab, 0xcd}};
  kj::HttpHeaderTable table;
  ProviderService service{chain, contract, table};
  kj::Own<kj::HttpClient> client = kj::newHttpClient(service);
  kj::Own<RpcChainReader> reader;

  explicit Fixture(bool isWebSocket) {
    kj::Own<JsonRpc> rpc;
    if (isWebSocket) {
      rpc = kj::heap<WebSocketRpc>(*client, table, timer, kj::str("http://provider/key"));
    } else {
      rpc = kj::heap<HttpRpc>(*client, table, timer, kj::str("http://provider/key"));
    }
    reader = kj::heap<RpcChainReader>(kj::mv(rpc), kj::str("provider"), contract);
  }
  ~Fixture() noexcept(false) { reader = nullptr; }

  template <typename T>
  kj::String failureOf(kj::Promise<T> promise) {
    kj::String why;
    for (int i = 0; i < 100 && !promise.poll(waitScope); i++) {
      timer.advanceTo(timer.now() + 1 * kj::SECONDS);
    }
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { promise.wait(waitScope); })) {
      why = kj::str(e->getDescription());
    }
    return why;
  }

  void fault(Fault next) {
    service.nextFault = [next]() { return next; };
  }
};

void readAll(bool isWebSocket) {
  Fixture f(isWebSocket);
  for (int i = 0; i < 9; i++) f.chain.mine(i % 3);
  f.service.depth = 2;
  KJ_EXPECT(f.reader->chainId().wait(f.waitScope) == SimChain::ID);
  for (auto finality: {Finality{Finality::FINALIZED, 0}, Finality{Finality::DEPTH, 2}}) {
    auto offered = f.reader->view(finality).wait(f.waitScope);
    auto& view = offered.get<ChainView>();
    KJ_EXPECT(view.latest == f.chain.refAt(9));
    KJ_EXPECT(KJ_ASSERT_NONNULL(view.final) == f.chain.refAt(7));
  }
  auto none = f.reader->view({Finality::SAFE, 0}).wait(f.waitScope);
  KJ_EXPECT(none.get<ChainView>().final == nullptr, "a null block is none");
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.reader->blockAt(3).wait(f.waitScope)) == f.chain.refAt(3).hash);
  KJ_EXPECT(f.reader->blockAt(10).wait(f.waitScope) == nullptr);
  auto head = f.reader->headAt(f.chain.refAt(5).hash).wait(f.waitScope);
  KJ_EXPECT(KJ_ASSERT_NONNULL(head) == f.chain.headAt(5));
  KJ_EXPECT(f.failureOf(f.reader->headAt(BlockHash())).startsWith("eth_call: not this"));
}

KJ_TEST("what a provider says is read, over HTTP") { readAll(false); }
KJ_TEST("what a provider says is read, over a WebSocket") { readAll(true); }

KJ_TEST("events are asked for in halves of a range that is refused") {
  Fixture f(false);
  for (int i = 0; i < 20; i++) f.chain.mine(1);
  f.service.maxRange = 3;
  auto logs = f.reader->logs(3, 18).wait(f.waitScope);
  KJ_EXPECT(logs.size() == 16);
  for (size_t i = 0; i < logs.size(); i++) {
    KJ_EXPECT(logs[i].block == f.chain.refAt(3 + i));
    KJ_EXPECT(logs[i].head == f.chain.headAt(3 + i));
  }
  f.service.maxRange = 0;
  KJ_EXPECT(f.failureOf(f.reader->logs(3, 18)).startsWith("eth_getLogs: not this"));
}

KJ_TEST("what is pushed are events and blocks; a lost connection is made anew") {
  Fixture f(true);
  f.chain.mine(1);
  auto first = f.reader->nextHint();
  KJ_EXPECT(!first.poll(f.waitScope));
  f.service.pushBlock();
  KJ_EXPECT(first.wait(f.waitScope) == nullptr);
  auto& log = f.chain.logsOf(1)[0];
  f.service.pushLog(log);
  auto hint = f.reader->nextHint().wait(f.waitScope);
  KJ_EXPECT(KJ_ASSERT_NONNULL(hint).head == log.head);
  KJ_EXPECT(KJ_ASSERT_NONNULL(hint).isSameAs(log));

  auto lost = f.reader->nextHint();
  KJ_EXPECT(!lost.poll(f.waitScope));
  f.service.dropSockets();
  KJ_EXPECT_THROW_MESSAGE("", lost.wait(f.waitScope));
  auto again = f.reader->nextHint();
  KJ_EXPECT(!again.poll(f.waitScope));
  KJ_EXPECT(f.service.sockets == 2);
  f.service.pushBlock();
  KJ_EXPECT(again.wait(f.waitScope) == nullptr);
}

KJ_TEST("an event with a number that no head can have is refused") {
  Fixture f(true);
  f.chain.mine(1);
  KJ_EXPECT(!f.reader->nextHint().poll(f.waitScope));
  auto& log = f.chain.logsOf(1)[0];
  for (auto seq: {MAX_SEQ, MAX_SEQ + 1, ~uint64_t(0)}) {
    f.service.pushLog(HeadLog{{seq, nullptr}, log.block, 0, false});
    auto hint = f.reader->nextHint();
    if (seq == MAX_SEQ) {
      KJ_EXPECT(KJ_ASSERT_NONNULL(hint.wait(f.waitScope)).head.seq == seq);
    } else {
      auto why = f.failureOf(kj::mv(hint));
      KJ_EXPECT(why.startsWith("the contract's head has number "), why);
      KJ_EXPECT(!f.reader->nextHint().poll(f.waitScope));  // it subscribes anew
    }
  }
}

KJ_TEST("a connection on which a call was not answered in time is read no longer") {
  Fixture f(true);
  KJ_EXPECT(!f.reader->nextHint().poll(f.waitScope));
  auto hint = f.reader->nextHint();
  f.fault(Fault::SILENCE);
  KJ_EXPECT(f.failureOf(f.reader->chainId()) != "");
  KJ_EXPECT(f.failureOf(kj::mv(hint)) != "");
  f.fault(Fault::NONE);
  f.service.pushBlock();
  f.waitScope.poll();
  KJ_EXPECT(f.failureOf(f.reader->chainId()) == "");  // over a new one
  KJ_EXPECT(f.service.sockets == 2);
}

KJ_TEST("pushes that nobody takes are few") {
  Fixture f(true);
  KJ_EXPECT(!f.reader->nextHint().poll(f.waitScope));
  for (int i = 0; i < 10'000; i++) f.service.pushBlock();
  f.waitScope.poll();
  kj::uint kept = 0;
  while (f.reader->nextHint().poll(f.waitScope) && kept < 10'000) ++kept;
  KJ_EXPECT(kept > 0 && kept <= WebSocketRpc::MAX_PUSHED, kept);
}

KJ_TEST("what waits of pushes is bounded in bytes too") {
  Fixture f(true);
  KJ_EXPECT(!f.reader->nextHint().poll(f.waitScope));
  for (int i = 0; i < 64; i++) f.service.pushNoise(100'000);
  f.waitScope.poll();
  kj::uint kept = 0;
  while (f.reader->nextHint().poll(f.waitScope) && kept < 64) ++kept;
  KJ_EXPECT(kept > 0 && kept <= 1 + WebSocketRpc::MAX_PUSHED_BYTES / 100'000, kept);
}

void failEach(bool isWebSocket) {
  for (kj::uint i = 1; i < FAULTS; i++) {
    Fixture f(isWebSocket);
    f.fault(Fault(i));
    auto before = f.service.written;
    bool isAnswer = Fault(i) == Fault::OTHER_CHAIN ||
        (isWebSocket && Fault(i) == Fault::TOO_MANY_REQUESTS);
    auto why = f.failureOf(f.reader->chainId());
    KJ_EXPECT((why == "") == isAnswer, i, why);
    KJ_EXPECT(f.service.written - before <= (5 << 20), i, "no more is taken");
    f.fault(Fault::NONE);
    KJ_EXPECT(f.failureOf(f.reader->chainId()) == "", i, "the next call is answered");
  }
}

KJ_TEST("each fault is a failure that says so, and the next call is answered: HTTP") {
  failEach(false);
}
KJ_TEST("each fault is a failure that says so, and the next call is answered: WebSocket") {
  failEach(true);
}

}  // namespace
}  // namespace ww
