#include <ww/cli/stderr-logger.h>

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

namespace ww {
namespace {

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
    if (n <= 0) return;  // nobody listens
    text = text.slice(n, text.size());
  }
}

}  // namespace

void StderrLogger::log(LogLevel level, kj::StringPtr event, kj::ArrayPtr<const LogField> fields) {
  if (level < least) return;
  auto render = format == LogFormat::JSON ? renderJson : renderText;
  writeAll(render(level, now(), event, fields));
}

}  // namespace ww
