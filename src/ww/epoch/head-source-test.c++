#include <ww/epoch/head-source.h>

#include <kj/test.h>

namespace ww {
namespace {

constexpr kj::byte HEAD[] = {1, 2, 3};

KJ_TEST("the static source stands at epoch 0, without a head, for ever") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  StaticHeadSource source;
  auto epoch = source.current();
  KJ_EXPECT(epoch.seq == 0);
  KJ_EXPECT(epoch.head.size() == 0);
  KJ_EXPECT(epoch.adoptedBlock == 0);
  auto next = source.nextAfter(0);
  KJ_EXPECT(!next.poll(waitScope));
}

KJ_TEST("the manual source starts where the static one stands, and moves by one") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  ManualHeadSource source;
  KJ_EXPECT(source.current().seq == 0);
  KJ_EXPECT(source.current().head.size() == 0);
  source.advance(kj::arrayPtr(HEAD, sizeof(HEAD)), 77);
  KJ_EXPECT(source.current().seq == 1);
  KJ_EXPECT(source.current().head.asPtr() == kj::arrayPtr(HEAD, sizeof(HEAD)));
  KJ_EXPECT(source.current().adoptedBlock == 77);
  source.advance();
  KJ_EXPECT(source.current().seq == 2);
  KJ_EXPECT(source.current().head.size() == 0);
}

KJ_TEST("nextAfter() gives the newest epoch: at once, or to all who wait for it") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  ManualHeadSource source;
  auto first = source.nextAfter(0), second = source.nextAfter(0), later = source.nextAfter(2);
  { auto dropped = source.nextAfter(0); }
  KJ_EXPECT(!first.poll(waitScope));
  source.advance();
  source.advance(kj::arrayPtr(HEAD, sizeof(HEAD)), 5);
  KJ_EXPECT(first.wait(waitScope).seq == 2);
  KJ_EXPECT(second.wait(waitScope).adoptedBlock == 5);
  KJ_EXPECT(source.nextAfter(1).wait(waitScope).head.asPtr() == kj::arrayPtr(HEAD, sizeof(HEAD)));
  KJ_EXPECT(!later.poll(waitScope));
  source.advance();
  KJ_EXPECT(later.wait(waitScope).seq == 3);
}

KJ_TEST("a failure of the manual source reaches those who wait and those who come") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  ManualHeadSource source;
  auto waiting = source.nextAfter(0);
  source.fail(KJ_EXCEPTION(FAILED, "chain gone"));
  KJ_EXPECT_THROW_MESSAGE("chain gone", waiting.wait(waitScope));
  KJ_EXPECT_THROW_MESSAGE("chain gone", source.nextAfter(0).wait(waitScope));
  KJ_EXPECT(source.current().seq == 0);
}

}  // namespace
}  // namespace ww
