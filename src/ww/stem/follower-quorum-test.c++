// Providers of which no quorum can be had, and the one height at which one is: what a follower
// adopts then, shows of each, and says of itself.
#include <ww/stem/follower-fixture-test.h>

namespace ww {
namespace {

using Fixture = FollowerFixture;

kj::uint timesLogged(const Fixture& f, kj::StringPtr text) {
  kj::uint times = 0;
  for (auto& line: f.logger.getLines()) times += strstr(line.cStr(), text.cStr()) != nullptr;
  return times;
}

kj::String problemOf(const Fixture& f) {
  return f.follower->findProblem().orDefault(kj::String());
}

void mineSlowly(Fixture& f, kj::uint blocks) {
  for (kj::uint i = 0; i < blocks; i++) {
    f.mine(1);
    f.pass(5 * kj::SECONDS);
  }
}

KJ_TEST("one of three that answers and never votes fails, is asked ever less, and is said once") {
  Fixture f(0, 3);
  f.start();
  f.readers[1]->isPruned = true;
  mineSlowly(f, 60);
  auto status = f.follower->getStatus();
  KJ_EXPECT(status.providers[1].state == ProviderStatus::FAILS);
  KJ_EXPECT(status.providers[1].problem == "header not found");
  KJ_EXPECT(status.providers[1].failures <= 12, status.providers[1].failures);
  KJ_EXPECT(timesLogged(f, "a provider of the chain fails") == 1);
  KJ_EXPECT(!f.logged("answers again"));
  KJ_EXPECT(problemOf(f) == "");
  KJ_EXPECT(status.final == f.chain.latest());

  f.readers[1]->isPruned = false;
  f.pass(2 * kj::MINUTES);  // no block is new: it makes up for the vote that it owes
  KJ_EXPECT(f.follower->getStatus().providers[1].state == ProviderStatus::ANSWERS);
  KJ_EXPECT(timesLogged(f, "answers again provider=b") == 1);
}

KJ_TEST("where most never vote it is a problem after two rounds, with how many vote and why") {
  Fixture f(0, 3);
  f.start();
  for (auto i: {1, 2}) f.readers[i]->isPruned = true;
  mineSlowly(f, 6);
  auto why = problemOf(f);
  KJ_EXPECT(why.startsWith("no quorum agrees at block "), why);
  KJ_EXPECT(why.endsWith(": 1 of 3 providers vote; the quorum is 2; b: header not found; "
                         "c: header not found"), why);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.follower->getStatus().problem) == why);
  KJ_EXPECT(timesLogged(f, "the providers of the chain have no quorum") == 1);
  mineSlowly(f, 30);
  KJ_EXPECT(problemOf(f).startsWith("no quorum agrees at block "), problemOf(f));
  KJ_EXPECT(timesLogged(f, "the providers of the chain have no quorum") == 1);
  KJ_EXPECT(timesLogged(f, "a provider of the chain fails") == 2);

  f.readers[2]->isPruned = false;
  f.mine(1, 1);
  f.pass(2 * kj::MINUTES);
  KJ_EXPECT(f.seq() == 1);
  KJ_EXPECT(problemOf(f) == "");
  KJ_EXPECT(timesLogged(f, "the providers of the chain have a quorum again") == 1);
}

KJ_TEST("a vote that fails once is no problem, also where all have to vote") {
  Fixture f(0, 2);
  f.start();
  for (kj::uint i = 0; i < 20; i++) {
    f.readers[1]->isPruned = true;
    f.mine(1, 1);
    for (kj::uint j = 0; j < 30; j++) {
      f.pass(200 * kj::MILLISECONDS);
      if (f.follower->getStatus().providers[1].state == ProviderStatus::FAILS) {
        f.readers[1]->isPruned = false;
      }
      KJ_EXPECT(problemOf(f) == "", problemOf(f));
    }
    KJ_EXPECT(f.seq() == i + 1);
  }
}

KJ_TEST("providers that do not answer are a problem after half a minute, and not before") {
  Fixture f(0, 3);
  f.start();
  for (auto i: {0, 1}) f.readers[i]->failures = kj::maxValue;
  f.pass(25 * kj::SECONDS);
  KJ_EXPECT(problemOf(f) == "", problemOf(f));
  f.pass(15 * kj::SECONDS);
  KJ_EXPECT(problemOf(f) == "no quorum of providers answers: 1 of 3 do, the quorum is 2; "
                            "a: it fails, as it was told to; b: it fails, as it was told to",
            problemOf(f));
  KJ_EXPECT(f.logged("the chain cannot be followed"));
  f.readers[0]->failures = 0;
  f.pass(2 * kj::MINUTES);
  KJ_EXPECT(problemOf(f) == "");
  KJ_EXPECT(f.logged("the chain can be followed again"));
}

KJ_TEST("providers that differ are a problem after two rounds") {
  Fixture f(0, 3);
  f.start();
  f.readers[0]->failures = kj::maxValue;
  f.readers[1]->forgedHead = StemHead{9, kj::heapArray<const kj::byte>("evil"_kj.asBytes())};
  mineSlowly(f, 6);
  auto why = problemOf(f);
  KJ_EXPECT(strstr(why.cStr(), ": 2 of 3 providers vote, and not enough of them alike; the quorum "
                               "is 2; a: it fails") != nullptr, why);
}

KJ_TEST("two answers that have a quorum each are said to") {
  Fixture f(0, 2);
  f.options.quorum = 1;
  f.make(2);
  f.start();
  f.readers[1]->forgedHead = StemHead{9, kj::heapArray<const kj::byte>("evil"_kj.asBytes())};
  mineSlowly(f, 4);
  KJ_EXPECT(f.seq() == 0);
  KJ_EXPECT(strstr(problemOf(f).cStr(), "2 of 2 providers vote, and two answers have a quorum "
                                        "each; the quorum is 1") != nullptr, problemOf(f));
  KJ_EXPECT(f.logged("two answers have a quorum each at block"));
}

KJ_TEST("a chain that is shorter than what was followed is a problem, and is logged") {
  Fixture f(0);
  f.mine(9, 1);
  f.start();
  f.readers[0]->lag = 4;
  f.pass(25 * kj::SECONDS);
  KJ_EXPECT(problemOf(f) == "", "one look may be at a machine that lags");
  f.pass(15 * kj::SECONDS);
  KJ_EXPECT(problemOf(f).startsWith("block 5 is the last that is final to a quorum of providers, "
                                    "and the chain was followed to block 9 before"), problemOf(f));
  KJ_EXPECT(timesLogged(f, "the chain cannot be followed cause=\"block 5 is the last") == 1);
  f.readers[0]->lag = 0;
  f.settle();
  KJ_EXPECT(problemOf(f) == "");
}

KJ_TEST("nothing final for long is said of the block that was acted upon") {
  Fixture f(0);
  f.mine(4);
  f.start();
  for (kj::uint i = 0; i < 31; i++) {
    f.mine(1);
    f.readers[0]->finalAt = 5;
    f.pass(1 * kj::MINUTES);
  }
  KJ_EXPECT(problemOf(f).startsWith("no block after 5 has become final"), problemOf(f));
}

KJ_TEST("a block hash that is made up is named, though no head can be had for it") {
  Fixture f(0, 3);
  f.start();
  f.readers[2]->forgesHash = true;
  mineSlowly(f, 10);
  auto status = f.follower->getStatus();
  KJ_EXPECT(status.providers[2].state == ProviderStatus::DISAGREES);
  KJ_EXPECT(status.providers[2].disagreements > 0);
  KJ_EXPECT(strstr(status.providers[2].problem.cStr(), "is 0x0808") != nullptr);
  KJ_EXPECT(timesLogged(f, "a provider of the chain fails") <= 1);
  f.readers[2]->forgesHash = false;
  mineSlowly(f, 30);
  KJ_EXPECT(f.follower->getStatus().providers[2].state == ProviderStatus::ANSWERS);
  KJ_EXPECT(timesLogged(f, "is at one with the others again provider=c") == 1);
}

// ---- The first height -------------------------------------------------------------------------

// The first epoch that is handed out: never one that is dead to those who have a quorum.
kj::Promise<Epoch> firstEpoch(Fixture& f) {
  return f.starting.then([&f]() { return f.follower->current(); }).eagerlyEvaluate(nullptr);
}

KJ_TEST("one that is far behind does not choose the first height, whoever is slow or fails once") {
  for (kj::uint behind = 0; behind < 3; behind++) {
    for (kj::uint slow = 0; slow < 6; slow++) {
      Fixture f(0, 3);
      f.mine(40, 1);
      f.readers[behind]->lag = 37;
      if (slow < 3) f.readers[slow]->slowness = 200;
      else f.readers[slow - 3]->failures = 1;
      f.begin();
      auto first = firstEpoch(f);
      f.settle();
      KJ_EXPECT(first.wait(f.waitScope).seq == 40, behind, slow);
    }
  }
}

KJ_TEST("one of another chain chooses no height at all, and is said to be") {
  for (kj::uint failing = 0; failing < 2; failing++) {
    Fixture f(0, 3);
    SimChain other;
    other.mine(1);
    f.mine(40, 1);
    f.readers[1]->id = 5;
    f.readers[1]->chain = &other;
    f.readers[2]->failures = failing * 5;
    f.begin();
    auto first = firstEpoch(f);
    f.pass(1 * kj::MINUTES);
    KJ_EXPECT(first.wait(f.waitScope).seq == 40, failing);
    f.settle();
    auto status = f.follower->getStatus();
    KJ_EXPECT(status.providers[1].state == ProviderStatus::LACKS);
    KJ_EXPECT(status.providers[1].problem == "it is of chain 5, and not of 31337");
    KJ_EXPECT(f.logged("a provider of the chain cannot be used provider=b"));
  }
}

KJ_TEST("one that is found to be of another chain while it is asked is not heard of that") {
  for (bool isView: {true, false}) {
    Fixture f(0, 3);
    SimChain other;
    other.mine(40);
    f.mine(4, 1);
    f.readers[1]->id = 5;
    f.readers[1]->chain = &other;
    auto paf = kj::newPromiseAndFulfiller<void>();
    (isView ? f.readers[1]->viewsAfter : f.readers[1]->blocksAfter) = paf.promise.fork();
    f.start();
    KJ_EXPECT(f.follower->getStatus().providers[1].state == ProviderStatus::LACKS, isView);
    paf.fulfiller->fulfill();
    f.settle();
    f.mine(2, 1);
    f.pass(1 * kj::MINUTES);
    KJ_EXPECT(f.seq() == 6, isView);
    auto status = f.follower->getStatus();
    KJ_EXPECT(status.providers[1].state == ProviderStatus::LACKS, isView);
    for (auto i: {0, 1, 2}) KJ_EXPECT(status.providers[i].failures == 0, isView, i);
    KJ_EXPECT(timesLogged(f, "a provider of the chain cannot be used provider=b") == 1, isView);
    KJ_EXPECT(f.follower->disagreementCount() == 0, isView);
  }
}

KJ_TEST("a silent one is not waited for at the beginning for longer than it takes others") {
  Fixture f(0, 3);
  f.mine(4, 1);
  f.readers[0]->isSilent = true;
  f.start();
  KJ_EXPECT(f.seq() == 4);
}

// ---- While it waits ---------------------------------------------------------------------------

KJ_TEST("what is waited for is said, as it is") {
  Fixture f(2);
  f.begin();
  f.settle();
  KJ_EXPECT(problemOf(f) == "no block is final to a quorum of providers yet", problemOf(f));
  f.readers[0]->hasContract = false;
  f.mine(3);
  f.pass(30 * kj::SECONDS);
  KJ_EXPECT(problemOf(f).startsWith("a quorum of providers finds no contract at 0x00"),
            problemOf(f));
  KJ_EXPECT(timesLogged(f, "waiting for the chain cause=\"a quorum of providers finds no") >= 2);
  f.readers[0]->hasContract = true;
  f.mine(1);
  f.settle();
  KJ_EXPECT(problemOf(f) == "");

  f.make(1);
  f.options.finality.depth = 4;
  f.make(1);
  f.begin();
  f.settle();
  KJ_EXPECT(problemOf(f).startsWith("block 0 is the last that is final to a quorum of providers, "
                                    "and the chain was followed to block 2"), problemOf(f));
}

KJ_TEST("providers of different chains are said to be") {
  Fixture f(0, 2);
  SimChain other;
  f.readers[1]->id = 5;
  f.readers[1]->chain = &other;
  f.begin();
  f.settle();
  KJ_EXPECT(problemOf(f) == "no quorum of providers is of one chain; a: chain 31337; b: chain 5",
            problemOf(f));
}

}  // namespace
}  // namespace ww
