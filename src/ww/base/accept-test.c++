#include <ww/base/accept.h>

#include <kj/debug.h>
#include <kj/test.h>

namespace ww {
namespace {

// Fails so often, then gives one connection, and then none.
class FailingReceiver final: public kj::ConnectionReceiver {
 public:
  kj::Promise<kj::Own<kj::AsyncIoStream>> accept() override {
    ++asked;
    if (asked <= 2) KJ_FAIL_REQUIRE("too many open files");
    if (asked <= 4) return KJ_EXCEPTION(DISCONNECTED, "gone again");
    if (asked == 5) {
      auto pipe = kj::newTwoWayPipe();
      return kj::mv(pipe.ends[0]);
    }
    return kj::NEVER_DONE;
  }
  kj::uint getPort() override { return 0; }

  kj::uint asked = 0;
};

KJ_TEST("who cannot accept tries again after a while, and accepts what comes then") {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  kj::TimerImpl timer(kj::origin<kj::TimePoint>());
  FailingReceiver receiver;
  kj::uint given = 0;
  auto accepting = acceptAll(receiver, timer, [&](auto) { ++given; });
  for (kj::uint asked = 1; asked <= 4; asked++) {
    KJ_EXPECT(!accepting.poll(waitScope));
    KJ_EXPECT(receiver.asked == asked && given == 0, receiver.asked, given);
    timer.advanceTo(timer.now() + AFTER_FAILED_ACCEPT);
  }
  KJ_EXPECT(!accepting.poll(waitScope));
  KJ_EXPECT(receiver.asked == 6 && given == 1, receiver.asked, given);
}

}  // namespace
}  // namespace ww
