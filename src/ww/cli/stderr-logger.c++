#include <ww/cli/stderr-logger.h>

#include <errno.h>
#include <kj/time.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <ww/base/signals.h>

namespace ww {
namespace {

constexpr auto PATIENCE_AT_THE_END = 1 * kj::SECONDS;

// UTC, to the millisecond, as in RFC 3339.
kj::String now() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  tm parts;
  gmtime_r(&time.tv_sec, &parts);
  char text[32];
  auto n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  n += snprintf(text + n, sizeof(text) - n, ".%03dZ", int(time.tv_nsec / 1'000'000));
  return kj::heapString(text, n);
}

void writeAll(kj::ArrayPtr<const char> text) {
  while (text.size() > 0) {
    auto n = write(STDERR_FILENO, text.begin(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      // Somebody who shares it has made it so that it does not wait.
      pollfd room{STDERR_FILENO, POLLOUT, 0};
      poll(&room, 1, -1);
      continue;
    }
    if (n <= 0) return;  // nobody listens
    text = text.slice(n, text.size());
  }
}

LogLevel levelOf(kj::LogSeverity severity) {
  switch (severity) {
    case kj::LogSeverity::INFO: return LogLevel::INFO;
    case kj::LogSeverity::WARNING: return LogLevel::WARNING;
    case kj::LogSeverity::DBG: return LogLevel::DEBUG;
    case kj::LogSeverity::ERROR:
    case kj::LogSeverity::FATAL: return LogLevel::ERROR;
  }
  return LogLevel::ERROR;
}

}  // namespace

class StderrLogger::Queue final: public kj::AtomicRefcounted {
 public:
  Queue(LogLevel least, LogFormat format): least(least), format(format) {}

  void log(LogLevel level, kj::StringPtr event, kj::ArrayPtr<const LogField> fields) const {
    if (level < least) return;
    auto render = format == LogFormat::JSON ? renderJson : renderText;
    auto line = render(level, now(), event, fields);
    auto lock = state.lockExclusive();
    if (lock->bytes + line.size() > MAX_WAITING_BYTES) {
      ++lock->dropped;
      return;
    }
    append(*lock, kj::mv(line));
    if (lock->dropped == 0) return;
    LogField field{"lines", kj::str(lock->dropped)};
    lock->dropped = 0;
    append(*lock, render(LogLevel::WARNING, now(), "lines of the log were dropped",
                         kj::arrayPtr(&field, 1)));
  }

  // On the thread, until stop() and all is written.
  void run() const {
    for (;;) {
      auto lines = state.when([](const State& s) { return s.stopped || !s.lines.empty(); },
                              [](State& s) {
        s.writing = !s.lines.empty();
        s.bytes = 0;
        return kj::mv(s.lines);
      });
      if (lines.empty()) return;
      for (auto& line: lines) writeAll(line);
      state.lockExclusive()->writing = false;
    }
  }

  // False: the thread is still writing.
  bool stop() const {
    state.lockExclusive()->stopped = true;
    return state.when([](const State& s) { return !s.writing && s.lines.empty(); },
                      [](State& s) { return !s.writing && s.lines.empty(); }, PATIENCE_AT_THE_END);
  }

 private:
  const LogLevel least;
  const LogFormat format;

  struct State {
    kj::Vector<kj::String> lines;
    size_t bytes = 0;  // of them
    uint64_t dropped = 0;
    bool writing = false;
    bool stopped = false;
  };

  static void append(State& state, kj::String line) {
    state.bytes += line.size();
    state.lines.add(kj::mv(line));
  }

  kj::MutexGuarded<State> state;
};

StderrLogger::StderrLogger(LogLevel least, LogFormat format)
    : queue(kj::atomicRefcounted<Queue>(least, format)),
      maskOfCaller(blockSignals()),
      thread([queue = kj::atomicAddRef(*queue)]() { queue->run(); }) {
  pthread_sigmask(SIG_SETMASK, &maskOfCaller, nullptr);
}

StderrLogger::~StderrLogger() noexcept(false) {
  if (!queue->stop()) thread.detach();
}

void StderrLogger::log(LogLevel level, kj::StringPtr event, kj::ArrayPtr<const LogField> fields) {
  queue->log(level, event, fields);
}

KjLogs::KjLogs(StderrLogger& logger): KjLogs(kj::atomicAddRef(*logger.queue)) {}
KjLogs::KjLogs(kj::Own<const StderrLogger::Queue> queue): queue(kj::mv(queue)) {}
KjLogs::~KjLogs() noexcept(false) {}

void KjLogs::logMessage(kj::LogSeverity severity, const char* file, int line, int,
                        kj::String&& text) {
  auto name = strrchr(file, '/');
  LogField fields[] = {{"says", kj::mv(text)},
                       {"at", kj::str(name == nullptr ? file : name + 1, ':', line)}};
  queue->log(levelOf(severity), "the node itself", fields);
}

kj::Function<void(kj::Function<void()>)> KjLogs::getThreadInitializer() {
  return [queue = kj::atomicAddRef(*queue)](kj::Function<void()> body) mutable {
    KjLogs logs(kj::mv(queue));
    body();
  };
}

}  // namespace ww
