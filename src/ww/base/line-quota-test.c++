#include <ww/base/line-quota.h>

#include <kj/test.h>

namespace ww {
namespace {

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  MemoryLogger logger;
  LineQuota quota{logger, timer};

  void log(uint64_t whose, kj::uint times) {
    for (kj::uint i = 1; i <= times; i++) {
      LogField fields[] = {{"cell", kj::str(i)}, {"limit", kj::str("some")}};
      quota.log(whose, LogLevel::WARNING, "it happened", fields);
    }
  }
  size_t count() { return logger.getLines().size(); }
  void passes(kj::Duration time) {
    timer.advanceTo(timer.now() + time);
    waitScope.poll();
  }
};

KJ_TEST("each has so many lines a minute, and then one for all the others") {
  Fixture f;
  f.log(1, 1000);
  KJ_EXPECT(f.count() == LineQuota::LINES);
  f.log(2, 3);
  KJ_EXPECT(f.count() == LineQuota::LINES + 3);
  f.passes(LineQuota::PERIOD - 1 * kj::SECONDS);
  KJ_EXPECT(f.count() == LineQuota::LINES + 3);
  f.passes(1 * kj::SECONDS);
  KJ_EXPECT(f.count() == LineQuota::LINES + 4);
  auto last = f.logger.getLines().back().asPtr();
  auto expected = "were not logged count=980 latest=\"it happened cell=1000\""_kj;
  KJ_EXPECT(strstr(last.cStr(), expected.cStr()) != nullptr, last);
  f.logger.clear();
  f.log(1, 1000);
  KJ_EXPECT(f.count() == LineQuota::LINES);
}

KJ_TEST("who stays below it has every line, and nothing more") {
  Fixture f;
  for (kj::uint i = 0; i < 3; i++) {
    f.log(1, LineQuota::LINES);
    f.passes(LineQuota::PERIOD);
  }
  KJ_EXPECT(f.count() == 3 * LineQuota::LINES);
}

}  // namespace
}  // namespace ww
