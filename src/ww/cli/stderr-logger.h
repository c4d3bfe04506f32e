#pragma once
// Writes the log to stderr, whole lines at a time.

#include <ww/base/log.h>

namespace ww {

class StderrLogger final: public Logger {
 public:
  StderrLogger(LogLevel least, LogFormat format): least(least), format(format) {}

  using Logger::log;
  void log(LogLevel level, kj::StringPtr event, kj::ArrayPtr<const LogField> fields) override;

 private:
  const LogLevel least;
  const LogFormat format;
};

}  // namespace ww
