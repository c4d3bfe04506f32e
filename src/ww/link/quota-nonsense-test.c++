#include <malloc.h>
#include <random>
#include "nonsense-test.h"
#include "quota-fixture-test.h"

namespace ww {
namespace {

KJ_TEST("messages in any order end their own link at most") {
  kj::uint over = 0;
  for (uint64_t seed = 1; seed <= 2000; seed++) {
    RawPeer peer;
    auto below = [state = seed](uint32_t limit) mutable {
      state = state * 6364136223846793005u + 1442695040888963407u;
      return uint32_t(state >> 33) % limit;
    };
    uint64_t interfaces[] = {capnp::typeId<Host>()};
    Nonsense nonsense(below, interfaces);
    auto end = kj::runCatchingExceptions([&]() {
      peer.bootstrap();
      auto count = 1 + below(40);
      for (kj::uint i = 0; i < count; i++) {
        peer.send([&](Message::Builder m, uint32_t id) { nonsense.fill(m, id); });
        if (i == count / 2) peer.open();
        if (below(3) == 0) peer.waitScope.poll();
      }
    });
    peer.waitScope.poll();
    over += peer.isOver();
    peer.link = nullptr;
    peer.waitScope.poll();  // what it leaves to the loop
  }
  KJ_EXPECT(over > 100 && over < 2000, over);
  Peer peer;
  peer.open();
  call(peer.host).wait(peer.waitScope);
}

// Calls that are given promises, which become other promises, or the answers of calls before them.
struct Promises: RawPeer {
  struct Promise {
    uint32_t id, born;  // its number, and that of the first call that was given it
  };
  std::minstd_rand random;
  uint32_t boot = bootstrap(), nextPromise = 1, waits = 0;  // what is never answered
  kj::Vector<uint32_t> calls = {};
  kj::Vector<Promise> promises = {};

  explicit Promises(uint32_t seed): random(seed) {}

  template <typename T>
  T take(kj::Vector<T>& from) {
    auto& place = from[random() % from.size()];
    auto taken = place;
    place = from.back();
    from.removeLast();
    return taken;
  }
  void ask() {
    auto isNew = promises.empty() || random() % 2 == 0;
    auto promise = isNew ? promises.add(Promise{nextPromise++, next})
                         : promises[random() % promises.size()];
    calls.add(callOn(boot, random() % 4 == 0, promise.id));
  }
  void fail() {
    auto promise = take(promises);
    send([&](Message::Builder m, uint32_t) {
      auto resolve = m.initResolve();
      resolve.setPromiseId(promise.id);
      resolve.initException().initReason(random() % 20'000);
    });
  }
  // By one of many ways into an answer that is not there.
  void disembargo() {
    send([&](Message::Builder m, uint32_t id) {
      auto disembargo = m.initDisembargo();
      auto target = disembargo.initTarget().initPromisedAnswer();
      target.setQuestionId(waits);
      for (auto step: target.initTransform(random() % 64)) step.setGetPointerField(random());
      disembargo.getContext().setSenderLoopback(id);
    });
  }
  // Capabilities that are none of the node's, and vines.
  void give() {
    auto id = send([&](Message::Builder m, uint32_t id) {
      auto call = m.initCall();
      call.setQuestionId(id);
      call.initTarget().initPromisedAnswer().setQuestionId(boot);
      call.setInterfaceId(capnp::typeId<Host>());
      call.setMethodId(4);
      for (auto cap: call.initParams().initCapTable(random() % 100)) {
        if (random() % 2 == 0) cap.setReceiverHosted(1'000'000);
        else cap.initThirdPartyHosted().setVineId(1'000'000 + random() % 1000);
      }
    });
    calls.add(id);
  }
  void resolve() {
    auto promise = take(promises);
    auto on = calls.empty() ? promise.born : calls[random() % calls.size()];
    send([&](Message::Builder m, uint32_t) {
      auto resolve = m.initResolve();
      resolve.setPromiseId(promise.id);
      if (on < promise.born) return resolve.initCap().initReceiverAnswer().setQuestionId(on);
      promises.add(Promise{nextPromise, promise.born});
      resolve.initCap().setSenderPromise(nextPromise++);
    });
  }
  void step() {
    if (waits == 0) waits = callOn(boot);
    auto what = random() % 16;
    if (what < 6) return ask();
    if (what < 10 && !promises.empty()) return resolve();
    if (what < 12 && !promises.empty()) return fail();
    if (what < 14 && !calls.empty()) return finish(take(calls));
    if (what == 14) return give();
    if (random() % 4 == 0) disembargo();
  }
};

KJ_TEST("what a link holds is what it says that it holds") {
  constexpr size_t EACH = 4096;  // of the RPC system's, for each thing that is counted
  kj::uint steps = 0;
  for (uint32_t seed = 1; seed <= 40; seed++) {
    Promises peer(seed);
    auto& link = *KJ_ASSERT_NONNULL(peer.link);
    peer.waitScope.poll();
    auto before = mallinfo2().uordblks;
    for (int i = 0; i < 10'000 && !peer.isOver(); i++, steps++) {
      peer.step();
      if (i % 100 != 99) continue;
      peer.waitScope.poll();
      auto use = link.getUse();
      auto things = use.calls + use.imports + use.exports + use.waits + use.embargoes;
      auto said = use.heldBytes + EACH * things;
      auto held = kj::max(before, size_t(mallinfo2().uordblks)) - before;
      KJ_EXPECT(held < said + (1 << 20), seed, i, held, said);
    }
  }
  KJ_EXPECT(steps > 20'000, steps);
}

}  // namespace
}  // namespace ww
