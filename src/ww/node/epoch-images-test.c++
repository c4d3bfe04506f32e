// Heads that are images: what is fetched when, what runs when, and what who asks is told.
// Everything is by hand here: heads, fetches, pid0s and the clock.
#include <kj/test.h>
#include <map>
#include <string>
#include <ww/base/error.h>
#include <ww/node/epoch-images.h>

namespace ww {
namespace {

using Membrane = stem::Membrane<membrane::WetwareSession>;

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

 private:
  kj::Maybe<kj::String> head;
  kj::Own<kj::PromiseFulfiller<void>> fulfiller;
};

// Fetches that a test ends, by head. An image's component is the text of its head.
class ManualFetcher final: public ImageFetcher {
 public:
  kj::Promise<EpochImage> fetch(kj::ArrayPtr<const kj::byte> head) override {
    auto text = kj::heapString(head.asChars());
    ++counts[text.cStr()];
    auto paf = kj::newPromiseAndFulfiller<EpochImage>();
    fulfillers[text.cStr()] = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }

  void have(const char* head) {
    kj::StringPtr text = head;
    fulfillers.at(head)->fulfill(EpochImage{kj::heapArray<const kj::byte>(text.asBytes())});
  }
  void fail(const char* head, kj::StringPtr why) { fulfillers.at(head)->reject(badInput(why)); }

  // Is somebody still waiting for it?
  bool isWanted(const char* head) { return fulfillers.at(head)->isWaiting(); }

  std::map<std::string, int> counts;

 private:
  std::map<std::string, kj::Own<kj::PromiseFulfiller<EpochImage>>> fulfillers;
};

// Pid0s that a test ends.
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
    if (started.back() == "bad") return badInput("no component");
    auto paf = kj::newPromiseAndFulfiller<int>();
    auto& cell = cells[started.back().cStr()];
    cell.fulfiller = kj::mv(paf.fulfiller);
    kj::Own<RunningPid0> pid0 = kj::heap<Pid0>(cell, kj::mv(paf.promise));
    return kj::mv(pid0);
  }

  kj::Vector<kj::String> started;
  std::map<std::string, Cell> cells;
};

constexpr auto GRACE = 5 * kj::SECONDS;

struct Fixture {
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
  Membrane::Client membrane = nullptr;
  kj::Maybe<int> code;
  kj::Promise<void> running = nullptr;

  Fixture() {
    move("one");
    watch = kj::heap<HeadWatch>(heads);
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
  ~Fixture() noexcept(false) {
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

KJ_TEST("the first epoch's image is fetched, and then runs; until then nobody grafts") {
  Fixture f;
  KJ_EXPECT(f.problem() == "the image of epoch 1 is fetched", f.problem());
  KJ_EXPECT(f.graft() == "epochPending: the image of epoch 1 is fetched", f.graft());
  KJ_EXPECT(f.ran() == "");
  f.runFirst();
  f.starter.cells["one"].fulfiller->fulfill(7);
  f.turn();
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.code) == 7, "its own end is the node's");
}

KJ_TEST("authority ends when the head is final, though its image is not here") {
  Fixture f;
  f.runFirst();
  auto session = f.membrane.graftRequest().send().wait(f.waitScope);
  f.moveTo("two");
  auto status = session.getSession().getStatusPoller().pollStatusRequest().send();
  KJ_EXPECT_THROW_MESSAGE("staleEpoch: issued 1, current 2", status.wait(f.waitScope));
  KJ_EXPECT(f.graft() == "epochPending: the image of epoch 2 is fetched", f.graft());
  KJ_EXPECT(f.ran() == "one");
}

KJ_TEST("the old pid0 gets the grace, and the new one runs after it is gone") {
  Fixture f;
  f.runFirst();
  f.moveTo("two");
  f.fetcher.have("two");
  f.turn();
  f.pass(GRACE - 1 * kj::MILLISECONDS);
  KJ_EXPECT(!f.starter.cells["one"].isEnded && f.ran() == "one");
  KJ_EXPECT(f.problem() == "the image of the epoch before 2 has yet to end", f.problem());
  KJ_EXPECT(f.graft() == "epochPending: the image of the epoch before 2 has yet to end",
            "it gets no session that is meant for another image");
  f.pass(1 * kj::MILLISECONDS);
  KJ_EXPECT(f.starter.cells["one"].isEnded && f.starter.cells["one"].isGone);
  KJ_EXPECT(f.ran() == "one two" && f.problem() == "none" && f.graft() == "2");
  KJ_EXPECT(f.code == nullptr, "that it was ended is not the node's end");
}

KJ_TEST("one that ends by itself in its grace is not waited for, nor its exit code the node's") {
  Fixture f;
  f.runFirst();
  f.moveTo("two");
  f.fetcher.have("two");
  f.starter.cells["one"].fulfiller->fulfill(1);
  f.turn();
  KJ_EXPECT(f.ran() == "one two" && !f.starter.cells["one"].isEnded);
  KJ_EXPECT(f.code == nullptr);
}

KJ_TEST("an image is fetched once its head is seen, and is there when it is final") {
  Fixture f;
  f.runFirst();
  f.pending.see("two");
  f.turn();
  KJ_EXPECT(f.fetcher.counts["two"] == 1 && f.ran() == "one" && f.problem() == "none");
  f.pending.see("two");
  f.turn();
  f.fetcher.have("two");
  f.turn();
  KJ_EXPECT(f.graft() == "1", "it is not final");
  f.moveTo("two");
  f.starter.cells["one"].fulfiller->fulfill(0);
  f.turn();
  KJ_EXPECT(f.ran() == "one two" && f.fetcher.counts["two"] == 1);
}

KJ_TEST("a head that is seen in place of another gives up the other's image") {
  Fixture f;
  f.runFirst();
  f.pending.see("taken back");
  f.turn();
  f.pending.see("two");
  f.turn();
  KJ_EXPECT(!f.fetcher.isWanted("taken back") && f.fetcher.isWanted("two"));
  f.pending.see("one");
  f.turn();
  KJ_EXPECT(f.fetcher.counts["one"] == 1, "what runs is here");
}

KJ_TEST("an image that cannot be had is tried again, later and later, and nothing else runs") {
  Fixture f;
  f.runFirst();
  f.moveTo("two");
  f.starter.cells["one"].fulfiller->fulfill(0);
  kj::Duration wait = EpochImages::FIRST_RETRY;
  for (int tries = 1; tries <= 10; tries++) {
    KJ_ASSERT(f.fetcher.counts["two"] == tries);
    f.fetcher.fail("two", "http://gateway: not found");
    f.turn();
    KJ_EXPECT(f.problem() == "the image of epoch 2 cannot be had, and is tried again: "
                             "http://gateway: not found", f.problem());
    KJ_EXPECT(f.graft() == kj::str("epochPending: ", f.problem()), f.graft());
    f.pass(wait - 1 * kj::MILLISECONDS);
    KJ_ASSERT(f.fetcher.counts["two"] == tries, "too early");
    f.pass(1 * kj::MILLISECONDS);
    wait = kj::min(wait * 2, EpochImages::LAST_RETRY);
  }
  KJ_EXPECT(f.ran() == "one");
  kj::uint said = 0;
  for (auto& line: f.logger.getLines()) said += line.startsWith("warning: an image cannot be had");
  KJ_EXPECT(said == 1, "the same reason is said once", kj::strArray(f.logger.getLines(), "\n"));
  f.fetcher.have("two");
  f.turn();
  KJ_EXPECT(f.ran() == "one two" && f.graft() == "2");
}

KJ_TEST("what failed ahead of its epoch is tried at once when it is final") {
  Fixture f;
  f.runFirst();
  f.pending.see("two");
  f.turn();
  for (int i = 1; i < 5; i++) {
    f.fetcher.fail("two", "not there yet");
    f.turn();
    f.pass(EpochImages::LAST_RETRY);
  }
  f.fetcher.fail("two", "not there yet");
  f.turn();
  auto before = f.fetcher.counts["two"];
  f.moveTo("two");
  KJ_EXPECT(f.fetcher.counts["two"] == before + 1);
}

KJ_TEST("a newer head takes the place of one whose image has not come") {
  Fixture f;
  f.runFirst();
  f.moveTo("two");
  f.moveTo("three");
  KJ_EXPECT(!f.fetcher.isWanted("two"));
  f.starter.cells["one"].fulfiller->fulfill(0);
  f.fetcher.have("three");
  f.turn();
  KJ_EXPECT(f.ran() == "one three" && f.graft() == "3");
}

KJ_TEST("heads that follow each other within a grace end each pid0, and run the last") {
  Fixture f;
  f.runFirst();
  f.moveTo("two");
  f.fetcher.have("two");
  f.turn();
  f.pass(GRACE / 2);
  f.moveTo("three");
  f.fetcher.have("three");
  f.turn();
  KJ_EXPECT(f.ran() == "one" && !f.starter.cells["one"].isGone, "its grace goes on");
  f.pass(GRACE / 2);
  KJ_EXPECT(f.starter.cells["one"].isGone);
  KJ_EXPECT(f.ran() == "one three" && f.graft() == "3");
}

KJ_TEST("an image that does not run is told of, and the next is waited for") {
  Fixture f;
  f.runFirst();
  f.moveTo("bad");
  f.starter.cells["one"].fulfiller->fulfill(0);
  f.fetcher.have("bad");
  f.turn();
  KJ_EXPECT(f.problem() == "the image of epoch 2 cannot be run: no component", f.problem());
  f.pass(10 * EpochImages::LAST_RETRY);
  KJ_EXPECT(f.ran() == "one bad" && f.code == nullptr);
  f.moveTo("three");
  f.fetcher.have("three");
  f.turn();
  KJ_EXPECT(f.ran() == "one bad three" && f.problem() == "none" && f.graft() == "3");
}

KJ_TEST("the same image again is an epoch like any other") {
  Fixture f;
  f.runFirst();
  f.moveTo("one");
  KJ_EXPECT(f.fetcher.counts["one"] == 2);
  f.fetcher.have("one");
  f.pass(GRACE);
  KJ_EXPECT(f.ran() == "one one" && f.graft() == "2");
}

KJ_TEST("once the chain took back what was final, nothing is started any more") {
  Fixture f;
  f.watch->close("reorg-too-deep: gone");
  f.fetcher.have("one");
  f.turn();
  KJ_EXPECT(f.ran() == "");
  KJ_EXPECT(f.graft() == "unauthorized: reorg-too-deep: gone", f.graft());
}

KJ_TEST("a pid0 whose output nobody reads holds the next one up for little") {
  Fixture f;
  f.runFirst();
  auto& old = f.starter.cells["one"];
  auto paf = kj::newPromiseAndFulfiller<int>();
  auto held = kj::mv(old.fulfiller);  // its end is not told
  old.fulfiller = kj::mv(paf.fulfiller);
  f.moveTo("two");
  f.fetcher.have("two");
  f.pass(GRACE);
  KJ_EXPECT(old.isEnded && !old.isGone && f.ran() == "one");
  f.pass(EpochImages::DRAIN_PATIENCE);
  KJ_EXPECT(old.isGone && f.ran() == "one two");
}

}  // namespace
}  // namespace ww
