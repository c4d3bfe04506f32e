#pragma once
// What strangers cause to be logged: so many lines a minute for each of them, and then how many
// more there would have been. Who does the same thing again and again fills no log.
//
// One event loop. Does not outlive the logger and the timer.

#include <kj/async.h>
#include <kj/map.h>
#include <kj/timer.h>
#include <ww/base/inbox.h>
#include <ww/base/log.h>

namespace ww {

// Where such lines go.
class LineSink {
 public:
  virtual ~LineSink() noexcept(false) {}

  // `whose`: any number that stands for one of them. `event` is a literal.
  virtual void log(uint64_t whose, LogLevel level, kj::StringPtr event,
                   kj::ArrayPtr<const LogField> fields) = 0;
};

class LineQuota final: public LineSink, private kj::TaskSet::ErrorHandler {
 public:
  static constexpr kj::uint LINES = 20;
  static constexpr kj::Duration PERIOD = 1 * kj::MINUTES;

  LineQuota(Logger& logger, kj::Timer& timer): logger(logger), timer(timer), ends(*this) {}
  KJ_DISALLOW_COPY_AND_MOVE(LineQuota);

  void log(uint64_t whose, LogLevel level, kj::StringPtr event,
           kj::ArrayPtr<const LogField> fields) override;

 private:
  // Of one whose first line in it is not a period old.
  struct Period {
    kj::uint lines = 0;
    uint64_t more = 0;  // that were not logged
    kj::String latest;  // of those
  };
  void end(uint64_t whose);
  void taskFailed(kj::Exception&& exception) override;

  Logger& logger;
  kj::Timer& timer;
  kj::HashMap<uint64_t, Period> periods;
  kj::TaskSet ends;
};

// Those of another loop, which serves `inbox` and where `quota` lives. It outlives what is posted
// there.
class FarLines final: public LineSink {
 public:
  FarLines(const LoopInbox& inbox, LineQuota& quota)
      : inbox(kj::atomicAddRef(inbox)), quota(quota) {}

  void log(uint64_t whose, LogLevel level, kj::StringPtr event,
           kj::ArrayPtr<const LogField> fields) override;

 private:
  kj::Own<const LoopInbox> inbox;
  LineQuota& quota;
};

}  // namespace ww
