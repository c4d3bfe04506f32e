#include "proc.h"

#include <kj/debug.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

namespace ww::bench {
namespace {

constexpr size_t RESERVED = size_t(1) << 30;

FILE* openFile(kj::StringPtr pid, kj::StringPtr name) {
  FILE* file = fopen(kj::str("/proc/", pid, '/', name).cStr(), "re");
  KJ_REQUIRE(file != nullptr, "there is no such process", pid);
  return file;
}

// "Pss: N kB" is one of the lines that are said of a mapping.
kj::Maybe<double> findShare(const char* line) {
  constexpr kj::StringPtr PSS = "Pss:"_kj;
  if (strncmp(line, PSS.cStr(), PSS.size()) != 0) return nullptr;
  return double(strtoull(line + PSS.size(), nullptr, 10)) * 1024;
}

// "BEGIN-END ACCESS …" begins what is said of a mapping.
struct Mappings {
  double sum = 0, last = 0;
  uint64_t lastEnd = 0;

  void begin(uint64_t begin, uint64_t end, bool isAccessible) {
    bool isReserve = !isAccessible && end - begin >= RESERVED;
    if (isReserve && begin == lastEnd) sum += last;
    // A memory may be of several mappings: its image, and what it has grown by.
    if (begin != lastEnd || isReserve) last = 0;
    lastEnd = end;
  }

  void add(const char* line) {
    char* rest;
    auto first = strtoull(line, &rest, 16);
    if (rest != line && *rest == '-') {
      auto end = strtoull(rest + 1, &rest, 16);
      begin(first, end, strncmp(rest, " ---", 4) != 0);
    } else {
      last += findShare(line).orDefault(0);
    }
  }
};

}  // namespace

double residentBytes(kj::StringPtr pid) {
  FILE* file = openFile(pid, "smaps_rollup");
  KJ_DEFER(fclose(file));
  char line[256];
  while (fgets(line, sizeof(line), file) != nullptr) {
    KJ_IF_MAYBE(share, findShare(line)) return *share;
  }
  KJ_FAIL_REQUIRE("the kernel does not say what is resident of a process", pid);
}

double linearBytes() {
  FILE* file = openFile("self", "smaps");
  KJ_DEFER(fclose(file));
  Mappings mappings;
  char line[512];
  while (fgets(line, sizeof(line), file) != nullptr) mappings.add(line);
  return mappings.sum;
}

double processorSeconds() {
  rusage usage;
  KJ_SYSCALL(getrusage(RUSAGE_SELF, &usage));
  auto seconds = [](timeval time) { return double(time.tv_sec) + double(time.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace ww::bench
