// Heads that are images: what runs when, and what who asks is told.
#include <ww/node/epoch-images-fixture-test.h>

namespace ww {
namespace {

using Fixture = EpochImagesFixture;
constexpr auto GRACE = Fixture::GRACE;

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

KJ_TEST("what is no image is told of, is not tried again, and nobody grafts") {
  Fixture f;
  f.runFirst();
  f.pending.see("none");
  f.turn();
  f.fetcher.ahead.fail("none", contentProblem("'x' is a symbolic link"));
  f.pass(10 * EpochImages::LAST_RETRY);
  KJ_EXPECT(f.fetcher.ahead.counts["none"] == 1 && f.graft() == "1");
  f.moveTo("none");
  f.fetcher.fail("none", contentProblem("'x' is a symbolic link"));
  f.pass(10 * EpochImages::LAST_RETRY);
  KJ_EXPECT(f.problem() == "the image of epoch 2 cannot be run: 'x' is a symbolic link",
            f.problem());
  KJ_EXPECT(f.graft() == kj::str("epochPending: ", f.problem()), f.graft());
  KJ_EXPECT(f.fetcher.counts["none"] == 1 && f.ran() == "one" && f.code == nullptr);
  KJ_EXPECT(f.starter.cells["one"].isGone);
  f.moveTo("three");
  f.fetcher.have("three");
  f.turn();
  KJ_EXPECT(f.ran() == "one three" && f.graft() == "3");
}

KJ_TEST("in whichever turn the head moves, what was started is ended, and nothing of it is after") {
  for (kj::uint turns = 0; turns < 40; turns++) {
    Fixture f;
    f.runFirst();
    f.moveTo("slow");
    f.starter.cells["one"].fulfiller->fulfill(0);
    f.turn();
    f.fetcher.have("slow");
    bool early = turns < 20;  // the head moves before it is started, or while it is
    if (!early) {
      f.turn();
      f.starter.slow.have("slow", true);
    }
    f.waitScope.poll(early ? turns : turns - 20);
    f.move("three");
    f.turn();
    f.fetcher.have("three");
    f.pass(GRACE);
    auto slow = f.starter.cells.find("slow");
    KJ_EXPECT(slow == f.starter.cells.end() || slow->second.isGone, turns);
    KJ_EXPECT(f.starter.started.back() == "three" && f.problem() == "none", f.ran(), turns);
    KJ_EXPECT(f.graft() == "3" && f.code == nullptr, turns);
  }
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
