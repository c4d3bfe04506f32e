// What an advance of the head costs: how long the loop is busy with it, however much is held.
#include <atomic>
#include <held-session.h>
#include <kj/debug.h>
#include "bench.h"

namespace ww::bench {
namespace {

constexpr int ROUNDS = 5;

// The one thing that an advance cannot do without.
double atomicStore() {
  std::atomic<uint64_t> seq = 0;
  constexpr uint64_t COUNT = 10'000'000;
  return best([&]() {
    return timed([&]() {
      for (uint64_t i = 0; i < COUNT; i++) {
        seq.store(i, std::memory_order_release);
        asm volatile("" ::: "memory");  // each of them
      }
    }) / COUNT;
  });
}

struct Times {
  kj::Vector<double> busy, first, last;
};

// Clients' links, each with one session, as many as the quotas ask for.
struct Held {
  Fixture f;
  kj::Vector<kj::Own<Chain>> chains;
  kj::Vector<kj::Own<HeldSession>> sessions;

  Held(kj::uint links, kj::uint each) {
    for (kj::uint i = 0; i < links; i++) {
      auto& chain = *chains.add(kj::heap<Chain>(f, 1));
      sessions.add(kj::heap<HeldSession>(f, chain.membrane, each));
    }
  }
};

void holdIdle(Report& report, kj::uint links, kj::uint each, double store) {
  Times times;
  for (int i = 0; i < ROUNDS; i++) {
    Held held(links, each);
    Advance advance(held.f);
    times.busy.add(advance.busy);
    Tally after(0, 1);
    after.add(held.sessions.back()->held.back().listRequest().send().ignoreResult());
    held.f.node.waitScope.poll();
    KJ_ASSERT(after.refused == 1, after.other);
  }
  auto count = links * each;
  report.add(time(
      kj::str("an advance, ", count, count == 1 ? " capability held" : " capabilities held"),
      Round{middle(times.busy), store}, "an atomic store", {Target::Of::MOST, 1e-3}));
}

// As many by one holder in this process, for whom no link's quotas are.
void holdHere(Report& report, kj::uint count, double store) {
  Times times;
  for (int i = 0; i < ROUNDS; i++) {
    Fixture f;
    HeldSession session(f, f.node.node.openMembrane(), count);
    Advance advance(f);
    times.busy.add(advance.busy);
  }
  report.add(time(kj::str("an advance, ", count, " capabilities held of one session"),
                  Round{middle(times.busy), store}, "an atomic store", {Target::Of::MOST, 30e-6}));
}

void inFlight(Report& report, kj::uint links, kj::uint each, double store) {
  Times times;
  for (int i = 0; i < ROUNDS; i++) {
    Held held(links, 1);
    Tally flying(0, 1);
    for (auto& session: held.sessions) {
      auto process = runOn(session->executor, "cell-plain", {"park"});
      process.infoRequest().send().wait(held.f.node.waitScope);
      for (kj::uint call = 0; call < each; call++) {
        flying.add(process.waitRequest().send().ignoreResult());
      }
      held.f.node.waitScope.poll();
    }
    KJ_ASSERT(flying.waiting == links * each, flying.other);
    Advance advance(held.f);
    KJ_ASSERT(flying.refused == links * each, flying.other);
    times.busy.add(advance.busy);
    times.first.add(flying.first - advance.stored);
    times.last.add(flying.last - advance.stored);
  }
  auto busy = middle(times.busy);
  auto calls = kj::str("an advance, ", links * each, " calls in flight");
  report.add(time(kj::str(calls), Round{busy, store}, "an atomic store",
                  {Target::Of::MOST, 10e-3}));
  report.add(time(kj::str(calls, ": first refusal"), Round{middle(times.first), busy},
                  "leases have ended"));
  report.add(time(kj::str(calls, ": last"), Round{middle(times.last), busy}, "leases have ended"));
}

}  // namespace

void benchEpoch(Report& report) {
  auto store = atomicStore();
  holdIdle(report, 1, 1, store);
  holdIdle(report, 1, 1000, store);
  holdIdle(report, 20, 5000, store);
  holdHere(report, 100'000, store);
  inFlight(report, 10, 1000, store);
}

}  // namespace ww::bench
