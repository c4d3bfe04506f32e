// The head moves while 10,000 capabilities are held, over three hops, and 10,000 calls are under
// way on them, in every way that a call can be. Times are printed and recorded, never asserted.
#include "held-session.h"

namespace ww {
namespace {

constexpr kj::uint CHAINS = 10, HOPS = 3, COUNT = 10'000, EACH = COUNT / CHAINS;

struct Crowd {
  Fixture f;
  kj::Vector<kj::Own<Chain>> chains;
  kj::Vector<kj::Own<HeldSession>> sessions;

  explicit Crowd(kj::uint hops = HOPS) {
    for (kj::uint i = 0; i < CHAINS; i++) {
      auto& chain = *chains.add(kj::heap<Chain>(f, hops));
      sessions.add(kj::heap<HeldSession>(f, chain.membrane, EACH));
    }
  }

  void callAll(Tally& tally) {
    for (auto& session: sessions) session->callAll(tally);
  }
  void expectAllAnswered() {
    Tally before(0, 1);
    callAll(before);
    KJ_EXPECT(before.answered == COUNT && before.waiting == 0, before.answered, before.other);
  }
  void expectAllRefused() {
    Tally after(0, 1);
    callAll(after);
    KJ_EXPECT(after.refused == COUNT, after.refused, after.answered, after.waiting, after.other);
  }
  // On the same links, which live.
  void expectFreshSessionsWork() {
    for (auto& chain: chains) {
      auto fresh = chain->membrane.graftRequest().send().wait(f.node.waitScope);
      KJ_EXPECT(fresh.getSession().getIssuedEpoch().getSeq() == 1);
      fresh.getSession().getExtension().getExecutor().echoRequest().send().wait(f.node.waitScope);
    }
  }
};

KJ_TEST("10,000 capabilities over three hops, none of them called: all are refused from then on") {
  Crowd crowd;
  crowd.expectAllAnswered();
  Advance advance(crowd.f);
  say(kj::str("10,000 capabilities held, idle: leases had ended after ", us(advance.ended), ", ",
              us(advance.busy), " of the processor's; all was settled after ",
              us(advance.settled)));
  crowd.expectAllRefused();
  crowd.expectFreshSessionsWork();
}

// One vat's calls that do not end, of each kind, and what they need.
struct Flight {
  HeldSession& session;
  kj::WaitScope& waitScope = session.f.node.waitScope;
  Process::Client process = runOn(session.executor, "cell-plain", {"sleep", "1000000000"});
  ByteStream::Client in = TestNode::stdin(process), out = TestNode::stdout(process);
  kj::Vector<kj::Own<kj::PromiseFulfiller<Process::Client>>> promised;

  explicit Flight(HeldSession& session): session(session) { fillPipe(); }

  // As calls that are under way are made, they end where the process does.
  auto wait(Process::Client of) { return of.waitRequest().send().ignoreResult(); }
  auto read() {
    auto request = out.readRequest();
    request.setMaxBytes(1);
    return request.send().ignoreResult();
  }
  auto write(size_t bytes) {
    auto request = in.writeRequest();
    request.initData(bytes);
    return request.send().ignoreResult();
  }
  void fillPipe() { write(64 << 10).wait(waitScope); }

  kj::Promise<void> onPromise() {
    auto paf = kj::newPromiseAndFulfiller<Process::Client>();
    promised.add(kj::mv(paf.fulfiller));
    return wait(kj::mv(paf.promise));
  }
  void resolvePromises() {
    for (auto& fulfiller: promised) fulfiller->fulfill(kj::cp(process));
  }

  void begin(Tally& tally, kj::uint count) {
    constexpr kj::uint READS = 16, WRITES = 100, PROMISES = 100, PIPELINED = 100;
    auto end = tally.size() + count;
    for (kj::uint i = 0; i < READS; i++) tally.add(read());
    for (kj::uint i = 0; i < WRITES; i++) tally.add(write(1 + i));
    for (kj::uint i = 0; i < PROMISES; i++) tally.add(onPromise());
    auto again = runOn(session.host.executorRequest().send().getExecutor(), "cell-plain",
                       {"sleep", "1000000000"});
    for (kj::uint i = 0; i < PIPELINED; i++) tally.add(wait(again));
    while (tally.size() < end) tally.add(wait(process));
  }
};

// Not vacuous: with the process gone in place of the session's epoch, the same calls end otherwise.
void expectEndsOtherwise(HeldSession& session) {
  Tally tally(0, 1);
  Flight flight(session);
  flight.begin(tally, EACH);
  session.f.node.waitScope.poll();
  KJ_EXPECT(tally.waiting == EACH, tally.waiting, tally.answered, tally.other);
  flight.resolvePromises();
  auto cells = session.executor.cellsRequest().send().getCells();
  KJ_EXPECT(tally.refused == 0);
  flight.process.killRequest().send().wait(session.f.node.waitScope);
  session.f.node.waitScope.poll();
  KJ_EXPECT(tally.waiting == 100, "those on the other cell", tally.waiting);
  KJ_EXPECT(tally.answered == EACH - 100 - 100, tally.answered);
  KJ_EXPECT(contains(tally.other, "ended: write"), "the writes", tally.other);
}

KJ_TEST("10,000 calls under way over three hops, of every kind: all fail with it") {
  Crowd crowd;
  expectEndsOtherwise(*crowd.sessions[0]);
  crowd.expectAllAnswered();
  Tally flying(0, 1);
  kj::Vector<kj::Own<Flight>> flights;
  for (auto& session: crowd.sessions) {
    flights.add(kj::heap<Flight>(*session))->begin(flying, EACH);
    crowd.f.node.waitScope.poll();
  }
  KJ_EXPECT(flying.waiting == COUNT, flying.answered, flying.other);
  Advance advance(crowd.f);
  say(kj::str("10,000 calls under way: leases had ended after ", us(advance.ended), ", ",
              us(advance.busy), " of the processor's; first refusal after ",
              us(flying.first - advance.stored), ", last after ",
              us(flying.last - advance.stored)));
  KJ_EXPECT(flying.waiting == 100 * CHAINS, "those on promises", flying.waiting);
  for (auto& flight: flights) flight->resolvePromises();
  crowd.f.node.waitScope.poll();
  KJ_EXPECT(flying.refused == COUNT, flying.refused, flying.answered, flying.waiting, flying.other);
  crowd.expectAllRefused();
  crowd.expectFreshSessionsWork();
}

}  // namespace
}  // namespace ww
