#include <ww/cell/cell-group.h>

#include <kj/test.h>

namespace ww {
namespace {

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::Own<CellGroup> group = kj::refcounted<CellGroup>();
  kj::Own<const LoopInbox> home = kj::atomicRefcounted<LoopInbox>();
};

KJ_TEST("one that has ended takes no more cells, nor do those within it") {
  Fixture f;
  auto within = f.group->makeSubgroup();
  within->requireOpen();
  f.group->end();
  KJ_EXPECT_THROW_MESSAGE("ended: ", f.group->requireOpen());
  KJ_EXPECT_THROW_MESSAGE("ended: ", within->requireOpen());
  KJ_EXPECT_THROW_MESSAGE("ended: ", within->addFar(*f.home));
}

KJ_TEST("once those that are attached were ended, none that was being started then is taken") {
  Fixture f;
  auto ended = f.group->endAttached();
  KJ_EXPECT_THROW_MESSAGE("ended: ", f.group->addFar(*f.home));
  KJ_EXPECT(ended.poll(f.waitScope));
}

KJ_TEST("the first cell is told of before it is there, and no other") {
  Fixture f;
  kj::uint told = 0;
  f.group->onFirst([&]() {
    KJ_EXPECT(f.group->size() == 0);
    ++told;
  });
  {
    auto first = f.group->addFar(*f.home), second = f.group->addFar(*f.home);
    KJ_EXPECT(told == 1);
    KJ_EXPECT(f.group->size() == 2);
  }
  f.waitScope.poll();
  KJ_EXPECT(f.group->size() == 0);
}

KJ_TEST("a far cell that is detached is waited for, and one that is not is ended") {
  Fixture f;
  kj::Maybe<FarCell::Ticket> stays, goes;
  stays.emplace(f.group->addFar(*f.home)).setDetached();
  auto& other = goes.emplace(f.group->addFar(*f.home));
  auto ended = f.group->endAttached();
  KJ_EXPECT_THROW_MESSAGE("ended: ", other.requireWanted());
  KJ_ASSERT_NONNULL(stays).requireWanted();
  goes = nullptr;
  KJ_EXPECT(!ended.poll(f.waitScope));
  KJ_EXPECT(f.group->size() == 1);
  stays = nullptr;
  KJ_EXPECT(ended.poll(f.waitScope));
  KJ_EXPECT(f.group->size() == 0);
}

KJ_TEST("groups that nobody holds and that hold nothing are let go, however many there were") {
  Fixture f;
  auto held = f.group->makeSubgroup();
  auto ticket = held->addFar(*f.home);
  for (kj::uint i = 0; i < 1000; i++) f.group->makeSubgroup();
  KJ_EXPECT(f.group->size() == 1);
  f.group->end();
  KJ_EXPECT_THROW_MESSAGE("ended: ", ticket.requireWanted());
}

}  // namespace
}  // namespace ww
