// Heads that are not final: what is fetched of them, and for how long it stays.
#include <ww/node/epoch-images-fixture-test.h>

namespace ww {
namespace {

using Fixture = EpochImagesFixture;

KJ_TEST("a head's blocks are fetched once it is seen, and are here when it is final") {
  Fixture f;
  f.runFirst();
  f.pending.see("two");
  f.turn();
  KJ_EXPECT(f.fetcher.ahead.counts["two"] == 1 && f.problem() == "none");
  f.pending.see("two");
  f.turn();
  f.fetcher.haveAhead("two");
  f.turn();
  KJ_EXPECT(f.graft() == "1" && f.fetcher.counts["two"] == 0, "it is not final");
  f.moveTo("two");
  KJ_EXPECT(f.fetcher.held == 1, "it stays here while the image is made of it");
  f.fetcher.have("two");
  f.starter.cells["one"].fulfiller->fulfill(0);
  f.turn();
  KJ_EXPECT(f.ran() == "one two" && f.fetcher.held == 0);
  KJ_EXPECT(f.fetcher.counts["two"] == 1 && f.fetcher.ahead.counts["two"] == 1);
}

KJ_TEST("a head that is seen in place of another gives up the other's blocks") {
  Fixture f;
  f.runFirst();
  f.pending.see("taken back");
  f.turn();
  f.pending.see("two");
  f.turn();
  KJ_EXPECT(!f.fetcher.ahead.isWanted("taken back"));
  f.pass(EpochImages::FIRST_PAUSE);
  f.fetcher.haveAhead("two");
  f.turn();
  KJ_EXPECT(f.fetcher.held == 1);
  f.pending.see("one");
  f.turn();
  KJ_EXPECT(f.fetcher.held == 0 && f.fetcher.ahead.counts["one"] == 0, "what runs is here");
}

KJ_TEST("a head that is seen no more, or is passed by, gives up its blocks") {
  Fixture f;
  f.runFirst();
  f.pending.see("two");
  f.turn();
  f.pending.seeNone();
  f.turn();
  KJ_EXPECT(!f.fetcher.ahead.isWanted("two"));
  f.pending.see("two");
  f.pass(EpochImages::FIRST_PAUSE);
  f.fetcher.haveAhead("two");
  f.turn();
  KJ_EXPECT(f.fetcher.held == 1);
  f.pending.forget();  // the follower has the epoch, and nothing to tell of
  f.moveTo("three");
  KJ_EXPECT(f.fetcher.held == 0);
}

KJ_TEST("who tells of heads without end has few of them fetched") {
  Fixture f;
  f.runFirst();
  kj::Duration pause = EpochImages::FIRST_PAUSE;
  for (int lie = 0; lie < 10; lie++) {
    f.pending.see(kj::str(lie));
    f.turn();
    KJ_ASSERT(f.fetcher.ahead.counts.size() == lie + 1u, lie);
    f.pending.see("another");
    f.pass(pause - 1 * kj::MILLISECONDS);
    KJ_ASSERT(f.fetcher.ahead.counts.size() == lie + 1u, "too early", lie);
    f.pending.seeNone();
    f.pass(1 * kj::MILLISECONDS);
    pause = kj::min(pause * 2, EpochImages::LAST_PAUSE);
  }
  // One that came true is as good as the first.
  f.pending.see("two");
  f.turn();
  f.moveTo("two");
  f.pending.see("three");
  f.pass(EpochImages::LAST_PAUSE);
  f.pending.see("four");
  f.pass(EpochImages::FIRST_PAUSE);
  KJ_EXPECT(f.fetcher.ahead.isWanted("four"));
}

KJ_TEST("what failed ahead of its epoch is tried at once when it is final, and once at a time") {
  Fixture f;
  f.runFirst();
  f.pending.see("two");
  f.turn();
  for (int i = 1; i < 5; i++) {
    f.fetcher.ahead.fail("two", "not there yet");
    f.turn();
    f.pass(EpochImages::LAST_RETRY);
  }
  f.fetcher.ahead.fail("two", "not there yet");
  f.turn();
  auto before = f.fetcher.ahead.counts["two"];
  f.moveTo("two");
  KJ_EXPECT(f.fetcher.counts["two"] == 1);
  f.pass(3 * EpochImages::LAST_RETRY);
  KJ_EXPECT(f.fetcher.ahead.counts["two"] == before);
}

}  // namespace
}  // namespace ww
