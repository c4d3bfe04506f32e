#include "bench.h"

#include <kj/debug.h>
#include <malloc.h>
#include <stdlib.h>

namespace ww::bench {
namespace {

struct Part {
  kj::StringPtr name;
  void (*run)(Report& report);
};

constexpr Part PARTS[] = {
  {"echo"_kj, benchEcho}, {"quota"_kj, benchQuota}, {"guests"_kj, benchGuests},
  {"graft"_kj, benchGraft}, {"spawn"_kj, benchSpawn}, {"streams"_kj, benchStreams},
  {"idle"_kj, benchIdle}, {"busy"_kj, benchBusy}, {"kill"_kj, benchKill},
  {"membrane"_kj, benchMembrane}, {"epoch"_kj, benchEpoch},
  {"threads"_kj, benchThreads}, {"images"_kj, benchImages}};

// As the program itself has it: see src/ww/cli/main.c++.
void setUp() {
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
  setenv("RUST_BACKTRACE", "0", 1);
  setenv("RUST_LIB_BACKTRACE", "0", 1);
}

}  // namespace
}  // namespace ww::bench

// ww-bench [--json FILE] [PART...]: the parts named, or all. FILE is added to.
// ww-bench --profile SUBJECT: that alone, over and over, for bench/profile.py.
// ww-bench --loops COUNT COMPONENT ARG...: a node of a process of its own, for the part `threads`.
int main(int argc, char** argv) {
  using namespace ww::bench;
  setUp();
  FILE* json = nullptr;
  kj::Vector<kj::StringPtr> wanted;
  if (argc == 3 && argv[1] == "--profile"_kj) {
    KJ_REQUIRE(profile(argv[2]), "there is no such subject", argv[2]);
    return 0;
  }
  if (argc > 4 && argv[1] == "--loops"_kj) {
    for (int i = 3; i < argc; i++) wanted.add(argv[i]);
    serveLoops(kj::StringPtr(argv[2]).parseAs<kj::uint>(), wanted);
    return 0;
  }
  for (int i = 1; i < argc; i++) {
    kj::StringPtr word = argv[i];
    if (word == "--json" && i + 1 < argc) {
      json = fopen(argv[++i], "a");
      KJ_REQUIRE(json != nullptr, "cannot be written", argv[i]);
    } else {
      wanted.add(word);
    }
  }
  Report report(json);
  size_t found = 0;
  for (auto& part: PARTS) {
    size_t named = wanted.empty();
    for (auto word: wanted) named += word == part.name;
    if (named == 0) continue;
    found += named;
    report.begin(part.name);
    part.run(report);
  }
  KJ_REQUIRE(wanted.empty() || found == wanted.size(), "there is no such part", wanted);
}
