// One thing over and over, with nothing beside it, for a profiler to watch: bench/profile.py.
#include <kj/debug.h>
#include <test-node.h>
#include "bench.h"
#include "child.h"

namespace ww::bench {
namespace {

constexpr double LEAST_SECONDS = 5;

kj::uint echoes(kj::StringPtr inFlight) {
  constexpr kj::uint CALLS = 100'000;
  TestNode node;
  return again([&]() {
    auto outcome = node.runToEnd("cell-rpc", {"bench-echo", kj::str(CALLS), kj::str(inFlight),
                                              "0"});
    KJ_ASSERT(outcome.code == 0, outcome.err);
    return CALLS;
  });
}

kj::uint nativeEchoes(kj::uint inFlight) {
  constexpr kj::uint CALLS = 100'000;
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  return again([&]() {
    nativeEcho(waitScope, CALLS, inFlight, 0);
    return CALLS;
  });
}

struct Subject {
  kj::StringPtr name;
  kj::uint (*run)();
};

constexpr Subject SUBJECTS[] = {
  {"echo"_kj, []() { return echoes("1"); }},
  {"echo-64"_kj, []() { return echoes("64"); }},
  {"native-echo"_kj, []() { return nativeEchoes(1); }},
  {"native-echo-64"_kj, []() { return nativeEchoes(64); }},
  {"graft"_kj, repeatGrafts},
  {"spawn"_kj, []() { return repeatSpawns(1); }},
  {"spawn-32"_kj, []() { return repeatSpawns(32); }},
};

}  // namespace

kj::uint again(kj::FunctionParam<kj::uint()> turn) {
  kj::uint count = turn();
  for (double seconds = 0; seconds < LEAST_SECONDS;) {
    seconds += timed([&]() { count += turn(); });
  }
  return count;
}

bool profile(kj::StringPtr name) {
  for (auto& subject: SUBJECTS) {
    if (subject.name != name) continue;
    printf("%u\n", subject.run());
    return true;
  }
  return false;
}

}  // namespace ww::bench
