// In which order those are written to that ask for it.
#include <ww/ffi/run-queue.h>

#include <kj/test.h>
#include <kj/vector.h>

namespace ww::ffi {
namespace {

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  kj::Own<RunQueue> queue = kj::refcounted<RunQueue>(timer, waitScope);
  kj::Vector<char> order;

  kj::String told() { return kj::heapString(order.asPtr()); }
};

class Asker final: public RunQueue::Writer {
 public:
  // Asks again at each of its turns, so often.
  Asker(Fixture& fixture, char name, kj::uint times): fixture(fixture), name(name), left(times) {}
  ~Asker() { fixture.queue->remove(*this); }
  KJ_DISALLOW_COPY_AND_MOVE(Asker);

  void onTurn() override {
    fixture.order.add(name);
    then();
    if (left > 0) ask();
  }
  void ask() {
    --left;
    askOnce();
  }
  void askOnce() { fixture.queue->add(*this); }
  kj::Function<void()> then = []() {};

 private:
  Fixture& fixture;
  const char name;
  kj::uint left;
};

kj::String repeat(kj::StringPtr text, kj::uint times) {
  kj::Vector<kj::StringPtr> all;
  for (kj::uint i = 0; i < times; i++) all.add(text);
  return kj::strArray(all, "");
}

constexpr auto ROW = RunQueue::MOST_IN_A_ROW;

KJ_TEST("one that asks again at once is served in a row, which ends where others wait") {
  Fixture f;
  Asker a(f, 'a', 2 * ROW), b(f, 'b', 2 * ROW);
  a.ask();
  b.ask();
  f.waitScope.poll();
  KJ_EXPECT(f.told() == kj::str(repeat("a", ROW), repeat("b", ROW), repeat("a", ROW),
                                repeat("b", ROW)), f.told());
}

KJ_TEST("a row ends as soon as guests have computed for long in it") {
  Fixture f;
  Asker a(f, 'a', 4), b(f, 'b', 4);
  constexpr auto MOST = uint64_t(RunQueue::LONGEST_ROW / kj::NANOSECONDS);
  a.then = [&]() { f.queue->onOtherPoll(MOST / 2); };
  b.then = [&]() { f.queue->onOtherPoll(10 * MOST); };
  a.ask();
  b.ask();
  f.waitScope.poll();
  KJ_EXPECT(f.told() == "aabaabbb", f.told());
}

// A guest that is polled again and again, and never uses up a slice.
kj::Promise<void> neverRest(Fixture& f, kj::uint& turns, const bool& stop) {
  while (!stop) {
    co_await kj::evalLater([]() {}).eagerlyEvaluate(nullptr);
    ++turns;
    f.queue->onOtherPoll(0);
  }
}

KJ_TEST("where the loop never rests, those that wait are served one after the other all the same") {
  Fixture f;
  constexpr kj::uint COUNT = 100;
  kj::uint turns = 0;
  bool isOver = false;
  kj::Vector<kj::uint> servedAt;
  kj::Vector<kj::Own<Asker>> all;
  for (kj::uint i = 0; i < COUNT; i++) {
    auto& asker = *all.add(kj::heap<Asker>(f, 'a', 1));
    asker.then = [&]() {
      servedAt.add(turns);
      isOver = servedAt.size() == COUNT;
    };
    asker.ask();
  }
  neverRest(f, turns, isOver).wait(f.waitScope);
  // All but those at which this machine stood still.
  kj::uint prompt = 0;
  for (kj::uint i = 1; i < COUNT; i++) prompt += servedAt[i] - servedAt[i - 1] <= 2;
  KJ_EXPECT(prompt > COUNT / 2, prompt, servedAt);
}

KJ_TEST("what was armed to be last before has its turn, however much comes of each write") {
  Fixture f;
  Asker a(f, 'a', 100'000);
  auto paf = kj::newPromiseAndFulfiller<void>();
  bool isOver = false;
  a.then = [&]() {
    for (kj::uint i = 0; i < 500 && !isOver; i++) {
      kj::evalLater([]() {}).detach([](kj::Exception&&) {});
    }
    // As a link over a socket has its writes gathered.
    if (f.order.size() == 1) {
      kj::evalLast([&]() {
        isOver = true;
        paf.fulfiller->fulfill();
      }).detach([](kj::Exception&&) {});
    }
  };
  a.ask();
  paf.promise.wait(f.waitScope);
  KJ_EXPECT(f.order.size() < 1000, f.order.size());
}

KJ_TEST("one alone has no end of its row") {
  Fixture f;
  Asker a(f, 'a', 3 * ROW);
  a.ask();
  f.waitScope.poll();
  KJ_EXPECT(f.told() == repeat("a", 3 * ROW), f.told());
}

KJ_TEST("one that comes anew waits for a row, however many have had theirs") {
  Fixture f;
  Asker a(f, 'a', 3 * ROW), b(f, 'b', 3 * ROW), c(f, 'c', 3 * ROW), late(f, '!', 1);
  kj::uint turns = 0;
  a.then = [&]() { if (++turns == 2 * ROW + 3) late.ask(); };
  for (auto asker: {&a, &b, &c}) asker->ask();
  f.waitScope.poll();
  auto before = kj::str(f.told().slice(0, KJ_ASSERT_NONNULL(f.told().findFirst('!'))));
  KJ_EXPECT(before.endsWith(repeat("a", ROW)), f.told());
  KJ_EXPECT(f.told().size() == 9 * ROW + 1);
}

KJ_TEST("those that come anew again and again leave every second row to one that had its own") {
  Fixture f;
  Asker busy(f, 'b', 4 * ROW), x(f, 'x', 1), y(f, 'y', 0);
  kj::uint times = 0;
  auto askAnew = [&](Asker& asker) { if (++times < 6) asker.askOnce(); };
  x.then = [&]() { askAnew(y); };  // neither is ever the one that was served last
  y.then = [&]() { askAnew(x); };
  busy.ask();
  x.ask();
  f.waitScope.poll();
  auto row = repeat("b", ROW);
  KJ_EXPECT(f.told() == kj::str(row, "x", row, "y", row, "x", row, "yxy"), f.told());
}

}  // namespace
}  // namespace ww::ffi
