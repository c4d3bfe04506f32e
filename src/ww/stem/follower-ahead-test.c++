// Heads that are not final yet, of providers that do not push: they are asked at each new block.
#include <ww/stem/follower-fixture-test.h>

namespace ww {
namespace {

struct Fixture: public FollowerFixture {
  explicit Fixture(uint64_t depth, kj::uint providers = 1, bool pushes = false)
      : FollowerFixture(depth, providers) {
    push = pushes;
    make(providers);
  }
  // 0: none.
  uint64_t pending() { return follower->getStatus().pendingSeq.orDefault(0); }
};

StemHead evilHead() { return {9, kj::heapArray<const kj::byte>("evil"_kj.asBytes())}; }

KJ_TEST("a head is seen at the look after its block, and until it is final or taken back") {
  Fixture f(3);
  f.mine(5);
  f.start();
  KJ_EXPECT(f.pending() == 0 && f.follower->findPending() == nullptr);
  auto told = f.follower->onPending();
  f.mine(1, 1);
  KJ_EXPECT(!told.poll(f.waitScope));
  f.settle();
  told.wait(f.waitScope);
  KJ_EXPECT(f.pending() == 1 && f.seq() == 0);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.follower->findPending()) ==
            f.chain.headAt(f.chain.latest()).value);
  told = f.follower->onPending();
  f.mine(1);
  f.settle();
  KJ_EXPECT(!told.poll(f.waitScope), "the same head in another block is no news");
  f.chain.takeBack(2);
  f.mine(3);
  f.settle();
  KJ_EXPECT(told.poll(f.waitScope) && f.pending() == 0 && f.follower->findPending() == nullptr);
  f.mine(1, 1);
  f.settle();
  KJ_EXPECT(f.pending() == 1 && f.seq() == 0);
  f.mine(3);
  f.settle();
  KJ_EXPECT(f.pending() == 0 && f.seq() == 1);
  KJ_EXPECT(f.follower->disagreementCount() == 0);
}

KJ_TEST("it is asked once a block, and one that pushes is not") {
  auto callsOf = [](bool pushes) {
    Fixture f(3, 1, pushes);
    f.mine(5);
    f.start();
    f.pass(f.options.interval * 4);
    f.chain.takeBack(1);
    f.mine(1);
    f.pass(f.options.interval * 4);
    return f.readers[0]->calls;
  };
  KJ_EXPECT(callsOf(false) == callsOf(true) + 2, callsOf(false), callsOf(true));
}

KJ_TEST("what one of three makes up is a hint for as long as it says it, and then it is named") {
  Fixture f(1, 3);
  f.mine(1);
  f.start();
  f.readers[2]->forgedHead = evilHead();
  f.chain.takeBack(1);
  f.mine(1);
  f.settle();
  KJ_EXPECT(f.pending() == 9 && f.seq() == 0);
  f.readers[2]->forgedHead = nullptr;  // it votes as the others do
  f.readers[2]->newestAfter = kj::Promise<void>(kj::NEVER_DONE).fork();
  f.mine(2, 1);
  f.settle();
  KJ_EXPECT(f.follower->getStatus().providers[2].disagreements == 1);
  KJ_EXPECT(f.logged("it told of head 9"));
  KJ_EXPECT(f.pending() == 2 && f.seq() == 1, f.pending(), f.seq());
}

KJ_TEST("nothing waits for one that does not say what its latest block has") {
  Fixture f(2);
  f.mine(2);
  f.start();
  f.readers[0]->newestAfter = kj::Promise<void>(kj::NEVER_DONE).fork();
  for (kj::uint i = 0; i < 4; i++) {
    f.mine(1, 1);
    f.settle();
  }
  KJ_EXPECT(f.seq() == 2 && f.pending() == 0, f.seq(), f.pending());
  auto status = f.follower->getStatus();
  KJ_EXPECT(status.providers[0].state == ProviderStatus::ANSWERS);
}

}  // namespace
}  // namespace ww
