#include "bench.h"

#include <malloc.h>
#include <stdlib.h>

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
  } parts[] = {{"echo", benchEcho}, {"quota", benchQuota}, {"graft", benchGraft},
               {"spawn", benchSpawn}, {"streams", benchStreams}, {"idle", benchIdle},
               {"busy", benchBusy}, {"kill", benchKill},
               {"membrane", benchMembrane}, {"epoch", benchEpoch},
               {"threads", benchThreads}};
  print("figure", "value", "ceiling", "value", "part");
  for (auto& part: parts) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; i++) wanted |= part.name == argv[i];
    if (wanted) part.run();
  }
}
