// 1,000 seeded stories of providers that cut connections, refuse, answer nonsense, too much, half
// or nothing: no epoch is lost, none comes twice, and no more is read than an answer may have.
#include <kj/test.h>
#include <random>
#include <stdlib.h>
#include <ww/stem/follower.h>
#include <ww/stem/http-rpc.h>
#include <ww/stem/provider-service-test.h>
#include <ww/stem/rpc-chain-reader.h>
#include <ww/stem/web-socket-rpc.h>

namespace ww {
namespace {

#if __has_feature(address_sanitizer)
constexpr uint64_t STORIES = 150;  // each takes some five times as long
#else
constexpr uint64_t STORIES = 1000;
#endif
constexpr uint64_t DEPTH = 2;

class Story {
 public:
  explicit Story(uint64_t seed): random(seed), providers(1 + below(3)) {
    for (kj::uint i = 0; i <= DEPTH; i++) chain.mine();
    for (kj::uint i = 0; i < providers; i++) addProvider();
    FollowerOptions options;
    options.contract = contract;
    options.finality = {Finality::FINALIZED, 0};
    options.quorum = majorityOf(providers);
    follower = kj::heap<StemFollower>(options, readers.releaseAsArray(), store, timer,
                                      [this]() { return random(); }, logger);
  }
  ~Story() noexcept(false) {
    collecting = nullptr;
    starting = nullptr;
    follower = nullptr;
  }

  // The most that one answer cost, in bytes.
  uint64_t tell() {
    starting = follower->start();
    for (kj::uint i = 0; i < 8; i++) {
      mine();
      pass(1 + below(4));
      if (collecting == nullptr && starting.poll(waitScope)) {
        starting.wait(waitScope);
        collecting = collect();
      }
    }
    calm = true;
    // Longer than it takes to ask a provider of another chain again.
    for (kj::uint i = 0; i < 10; i++) {
      chain.mine(below(2));
      pass(60);
    }
    KJ_ASSERT(collecting != nullptr || starting.poll(waitScope),
              follower->findProblem().orDefault(kj::String()));
    for (auto i = seqs.size(); i-- > 1;) KJ_ASSERT(seqs[i] > seqs[i - 1], "one came twice");
    auto now = follower->current();
    auto& head = chain.headAt(chain.latest() - DEPTH);
    KJ_ASSERT(now.seq == head.seq, now.seq, head.seq, "one was lost");
    KJ_ASSERT(now.head.asPtr() == head.value.asPtr());
    KJ_ASSERT(seqs.empty() || seqs.back() <= now.seq);
    auto problem = follower->findProblem().orDefault(kj::String());
    KJ_ASSERT(problem == "", problem);
    KJ_ASSERT(follower->nextAfter(now.seq).poll(waitScope) == false);
    return most;
  }

 private:
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  std::mt19937_64 random;
  kj::uint providers;
  EthAddress contract{{1, 2, 3}};
  SimChain chain;
  MemoryCursorStore store;
  MemoryLogger logger;
  kj::HttpHeaderTable table;
  kj::Vector<kj::Own<ProviderService>> services;
  kj::Vector<kj::Own<kj::HttpClient>> clients;
  kj::Vector<kj::Own<ChainReader>> readers;
  kj::Own<StemFollower> follower;
  kj::Promise<void> starting = nullptr;
  kj::Maybe<kj::Promise<void>> collecting;
  kj::Vector<uint64_t> seqs;
  bool calm = false;
  uint64_t most = 0;

  uint64_t below(uint64_t n) { return random() % n; }

  void addProvider() {
    auto service = kj::heap<ProviderService>(chain, contract, table);
    service->depth = DEPTH;
    service->maxRange = 1 + below(5);
    service->nextFault = [this, &service = *service]() {
      most = kj::max(most, service.written);
      service.written = 0;
      if (calm || below(3) != 0) return Fault::NONE;
      return Fault(1 + below(FAULTS - 1));
    };
    auto client = kj::newHttpClient(*service);
    kj::Own<JsonRpc> rpc;
    if (below(2) == 0) {
      rpc = kj::heap<WebSocketRpc>(*client, table, timer, kj::str("http://provider/"));
    } else {
      rpc = kj::heap<HttpRpc>(*client, table, timer, kj::str("http://provider/"));
    }
    readers.add(kj::heap<RpcChainReader>(kj::mv(rpc), kj::str("provider ", services.size()),
                                         contract));
    clients.add(kj::mv(client));
    services.add(kj::mv(service));
  }

  void mine() {
    for (uint64_t i = below(4); i > 0; i--) {
      chain.mine(below(2) * (1 + below(2)));
      for (auto& service: services) {
        if (below(4) == 0) service->dropSockets();
        for (auto& log: chain.logsOf(chain.latest())) {
          for (auto times = below(3); times > 0; times--) service->pushLog(log);
        }
        service->pushBlock();
      }
    }
  }

  void pass(uint64_t seconds) {
    for (uint64_t i = 0; i < seconds * 2; i++) {
      timer.advanceTo(timer.now() + 500 * kj::MILLISECONDS);
      waitScope.poll();
    }
  }

  kj::Promise<void> collect() {
    auto seq = follower->current().seq;
    return collectAfter(seq).eagerlyEvaluate(nullptr);
  }
  kj::Promise<void> collectAfter(uint64_t seq) {
    for (;;) {
      auto epoch = co_await follower->nextAfter(seq);
      seq = epoch.seq;
      seqs.add(seq);
    }
  }
};

KJ_TEST("seeded stories of faults: no epoch is lost, none comes twice") {
  auto given = getenv("WW_SEED");
  uint64_t first = given == nullptr ? 1 : kj::StringPtr(given).parseAs<uint64_t>();
  uint64_t most = 0;
  for (auto seed = first; seed < first + (given == nullptr ? STORIES : 1); seed++) {
    KJ_CONTEXT("replay with WW_SEED", seed);
    most = kj::max(most, Story(seed).tell());
  }
  KJ_LOG(WARNING, "bytes of the longest answer that was begun", most);
  KJ_EXPECT(most <= 5 << 20);
}

}  // namespace
}  // namespace ww
