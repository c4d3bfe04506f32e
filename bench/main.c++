#include "bench.h"

#include <kj/time.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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

// ww-bench [PART...]: the parts named, or all.
int main(int argc, char** argv) {
  // As the program itself sets it: see src/ww/cli/main.c++.
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
  setenv("RUST_BACKTRACE", "0", 1);
  setenv("RUST_LIB_BACKTRACE", "0", 1);
  using namespace ww::bench;
  struct Part {
    kj::StringPtr name;
    void (*run)();
  } parts[] = {{"echo", benchEcho}, {"graft", benchGraft}, {"spawn", benchSpawn},
               {"streams", benchStreams}, {"idle", benchIdle}, {"kill", benchKill}};
  print("figure", "value", "ceiling", "value", "part");
  for (auto& part: parts) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; i++) wanted |= part.name == argv[i];
    if (wanted) part.run();
  }
}
