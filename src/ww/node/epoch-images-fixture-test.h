#pragma once
// A node's epochs by hand: heads, fetches, pid0s and the clock.

#include <kj/test.h>
#include <map>
#include <string>
#include <ww/base/error.h>
#include <ww/node/epoch-images.h>

namespace ww {

class ManualPending final: public PendingHeads {
 public:
  kj::Maybe<kj::Array<const kj::byte>> findPending() const override {
    return head.map([](const kj::String& text) {
      return kj::heapArray<const kj::byte>(text.asBytes());
    });
  }
  kj::Promise<void> onPending() override {
    auto paf = kj::newPromiseAndFulfiller<void>();
    fulfiller = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }
  void see(kj::StringPtr text) {
    head = kj::str(text);
    fulfiller->fulfill();
  }
  void seeNone() {
    forget();
    fulfiller->fulfill();
  }
  void forget() { head = nullptr; }

 private:
  kj::Maybe<kj::String> head;
  kj::Own<kj::PromiseFulfiller<void>> fulfiller;
};

// Promises that a test fulfills, by what they are of.
template <typename T>
class ByHand {
 public:
  kj::Promise<T> begin(kj::StringPtr what) {
    ++counts[what.cStr()];
    auto paf = kj::newPromiseAndFulfiller<T>();
    fulfillers[what.cStr()] = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }
  void have(const char* what, T value) { fulfillers.at(what)->fulfill(kj::mv(value)); }
  void fail(const char* what, kj::Exception why) { fulfillers.at(what)->reject(kj::mv(why)); }
  void fail(const char* what, kj::StringPtr why) { fail(what, badInput(why)); }

  // Is somebody still waiting for it?
  bool isWanted(const char* what) { return fulfillers.at(what)->isWaiting(); }

  std::map<std::string, int> counts;

 private:
  std::map<std::string, kj::Own<kj::PromiseFulfiller<T>>> fulfillers;
};

// An image's component is the text of its head.
class ManualFetcher final: public ImageFetcher, public ByHand<EpochImage> {
 public:
  kj::Promise<EpochImage> fetch(kj::ArrayPtr<const kj::byte> head) override {
    return begin(kj::heapString(head.asChars()));
  }
  kj::Promise<kj::Own<void>> prefetch(kj::ArrayPtr<const kj::byte> head) override {
    return ahead.begin(kj::heapString(head.asChars()));
  }

  void have(const char* head) {
    kj::StringPtr text = head;
    ByHand::have(head, EpochImage{kj::heapArray<const kj::byte>(text.asBytes())});
  }
  void haveAhead(const char* head) {
    ++held;
    ahead.have(head, kj::heap(kj::defer([this]() { --held; })));
  }

  ByHand<kj::Own<void>> ahead;
  int held = 0;  // of what was had ahead
};

// Pid0s that a test ends, and starts where they are slow.
class ManualStarter final: public Pid0Starter {
 public:
  struct Cell {
    bool isEnded = false, isGone = false;
    kj::Own<kj::PromiseFulfiller<int>> fulfiller;
  };

  class Pid0 final: public RunningPid0 {
   public:
    Pid0(Cell& cell, kj::Promise<int> ended): cell(cell), ended(ended.fork()) {}
    ~Pid0() noexcept(false) { cell.isGone = true; }
    kj::Promise<int> onEnd() override { return ended.addBranch(); }
    void end() override {
      cell.isEnded = true;
      cell.fulfiller->fulfill(137);
    }

   private:
    Cell& cell;
    kj::ForkedPromise<int> ended;
  };

  kj::Promise<kj::Own<RunningPid0>> start(EpochImage image) override {
    started.add(kj::heapString(image.wasm.asChars()));
    auto& now = KJ_ASSERT_NONNULL(heads).epoch().head;
    KJ_EXPECT(now == image.wasm, "it is of an epoch that has passed");
    if (started.back() == "bad") return badInput("no component");
    kj::StringPtr name = started.back();
    if (!name.startsWith("slow")) return make(name);
    return slow.begin(name).then([this, name](bool) { return make(name); });
  }

  kj::Maybe<HeadWatch&> heads;
  ByHand<bool> slow;  // those whose name begins with it
  kj::Vector<kj::String> started;
  std::map<std::string, Cell> cells;

 private:
  kj::Own<RunningPid0> make(kj::StringPtr name) {
    auto paf = kj::newPromiseAndFulfiller<int>();
    auto& cell = cells[name.cStr()];
    cell.fulfiller = kj::mv(paf.fulfiller);
    return kj::heap<Pid0>(cell, kj::mv(paf.promise));
  }
};

struct EpochImagesFixture {
  static constexpr auto GRACE = 5 * kj::SECONDS;

  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  ManualHeadSource heads;
  kj::Own<HeadWatch> watch;
  kj::Own<GraftGate> gate;
  kj::Promise<void> following = nullptr;
  OpenGraftPolicy everybody;
  ManualPending pending;
  ManualFetcher fetcher;
  ManualStarter starter;
  MemoryLogger logger;
  kj::Own<EpochImages> images;
  stem::Membrane<membrane::WetwareSession>::Client membrane = nullptr;
  kj::Maybe<int> code;
  kj::Promise<void> running = nullptr;

  EpochImagesFixture() {
    move("one");
    watch = kj::heap<HeadWatch>(heads);
    starter.heads = *watch;
    gate = kj::refcounted<GraftGate>(*watch);
    following = watch->follow().eagerlyEvaluate(nullptr);
    images = kj::heap<EpochImages>(EpochImages::Parts{*watch, *gate, pending, fetcher, starter,
                                                      timer, logger, GRACE});
    membrane = kj::heap<MembraneServer>(*gate, everybody,
        [](Lease&, kj::Maybe<const AllowedKey&>) {
      return SessionOffer{peer::Host::Client(badInput("none")),
                          peer::Executor::Client(badInput("none"))};
    });
    running = images->run().then([this](int c) { code = c; }).eagerlyEvaluate(nullptr);
    turn();
  }
  ~EpochImagesFixture() noexcept(false) {
    gate->close();
    running = nullptr;
    images = nullptr;
    following = nullptr;
  }

  void move(kj::StringPtr head) { heads.advance(head.asBytes()); }
  void turn() { waitScope.poll(); }
  void pass(kj::Duration time) {
    timer.advanceTo(timer.now() + time);
    turn();
  }
  void moveTo(kj::StringPtr head) {
    move(head);
    turn();
  }

  // The epoch that a graft gives, or why it gives none.
  kj::String graft() {
    kj::String result;
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
      auto session = membrane.graftRequest().send().wait(waitScope);
      result = kj::str(session.getSession().getIssuedEpoch().getSeq());
    })) {
      result = kj::str(e->getDescription());
    }
    return result;
  }
  kj::String problem() { return images->findProblem().orDefault(kj::str("none")); }
  kj::String ran() { return kj::strArray(starter.started, " "); }

  void runFirst() {
    fetcher.have("one");
    turn();
    KJ_ASSERT(ran() == "one" && problem() == "none" && graft() == "1");
  }
};

}  // namespace ww
