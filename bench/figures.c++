#include "bench.h"

#include <algorithm>
#include <kj/time.h>
#include <math.h>
#include <stdio.h>

namespace ww::bench {

double timed(kj::FunctionParam<void()> work) {
  auto& clock = kj::systemPreciseMonotonicClock();
  auto begin = clock.now();
  work();
  return (clock.now() - begin) / kj::NANOSECONDS * 1e-9;
}

double best(kj::FunctionParam<double()> trial) {
  double result = INFINITY;
  for (int i = 0; i < TRIALS; i++) result = kj::min(result, trial());
  return result;
}

Round median(kj::ArrayPtr<Round> rounds) {
  std::sort(rounds.begin(), rounds.end(), [](Round a, Round b) {
    return a.value / a.ceiling < b.value / b.ceiling;
  });
  return rounds[rounds.size() / 2];
}

void print(kj::StringPtr name, kj::StringPtr value, kj::StringPtr ceilingName,
           kj::StringPtr ceiling, kj::StringPtr ratio) {
  printf("%-42s %14s   %-32s %14s   %s\n", name.cStr(), value.cStr(), ceilingName.cStr(),
         ceiling.cStr(), ratio.cStr());
  fflush(stdout);
}

namespace {
kj::String format(const char* pattern, double value) {
  char text[64];
  snprintf(text, sizeof(text), pattern, value);
  return kj::str(text);
}
}  // namespace

kj::String us(double seconds) { return format("%.1f us", seconds * 1e6); }
kj::String perSecond(double seconds) { return format("%.1f k/s", 1e-3 / seconds); }
kj::String ratio(double value) { return format("%.2f", value); }

}  // namespace ww::bench
