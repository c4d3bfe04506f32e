#pragma once
// Writes the log to stderr, whole lines at a time, from a thread of its own: whoever reads stderr
// and stops reading keeps nobody from anything. What waits for it is bounded; lines beyond that are
// dropped, and the next one that fits is followed by how many.

#include <kj/exception.h>
#include <kj/mutex.h>
#include <kj/refcount.h>
#include <kj/thread.h>
#include <signal.h>
#include <ww/base/log.h>

namespace ww {

// Any thread may log.
class StderrLogger final: public Logger {
 public:
  static constexpr size_t MAX_WAITING_BYTES = 1 << 20;

  StderrLogger(LogLevel least, LogFormat format);

  // Waits until all is written, or for a second.
  ~StderrLogger() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(StderrLogger);

  using Logger::log;
  void log(LogLevel level, kj::StringPtr event, kj::ArrayPtr<const LogField> fields) override;

 private:
  friend class KjLogs;
  class Queue;

  kj::Own<const Queue> queue;
  // Signals are for the loop's thread: blocked while this one is started, which keeps it so.
  sigset_t maskOfCaller;
  kj::Thread thread;
};

// What KJ and Cap'n Proto log, and our own KJ_LOG for what should not happen, as lines of the log;
// in this thread and in those that it starts. A thread may outlive the logger, and is not heard
// then.
class KjLogs final: public kj::ExceptionCallback {
 public:
  explicit KjLogs(StderrLogger& logger);
  ~KjLogs() noexcept(false);

  void logMessage(kj::LogSeverity severity, const char* file, int line, int contextDepth,
                  kj::String&& text) override;
  kj::Function<void(kj::Function<void()>)> getThreadInitializer() override;

 private:
  explicit KjLogs(kj::Own<const StderrLogger::Queue> queue);
  kj::Own<const StderrLogger::Queue> queue;
};

}  // namespace ww
