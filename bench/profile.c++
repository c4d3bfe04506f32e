// One thing over and over, with nothing beside it, for a profiler to watch: bench/profile.py.
#include <kj/debug.h>
#include <test-node.h>
#include "bench.h"
#include "child.h"

namespace ww::bench {
namespace {

constexpr double LEAST_SECONDS = 8;

Again echoes(kj::StringPtr inFlight) {
  constexpr kj::uint CALLS = 100'000;
  TestNode node;
  return again([&]() {
    auto outcome = node.runToEnd("cell-rpc", {"bench-echo", kj::str(CALLS), kj::str(inFlight),
                                              "0"});
    KJ_ASSERT(outcome.code == 0, outcome.err);
    return CALLS;
  });
}

double stockEcho(kj::WaitScope& waitScope, kj::uint calls, kj::uint inFlight, size_t bytes) {
  return nativeEcho(waitScope, calls, inFlight, bytes);
}

Again nativeEchoes(kj::uint inFlight, decltype(ownEcho)& echo = stockEcho) {
  constexpr kj::uint CALLS = 100'000;
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  return again([&]() {
    echo(waitScope, CALLS, inFlight, 0);
    return CALLS;
  });
}

struct Subject {
  kj::StringPtr name;
  Again (*run)();
};

constexpr Subject SUBJECTS[] = {
  {"echo"_kj, []() { return echoes("1"); }},
  {"echo-64"_kj, []() { return echoes("64"); }},
  {"bare-echo"_kj, []() { return repeatBareEchoes(1); }},
  {"bare-echo-64"_kj, []() { return repeatBareEchoes(64); }},
  {"native-echo"_kj, []() { return nativeEchoes(1); }},
  {"native-echo-64"_kj, []() { return nativeEchoes(64); }},
  {"own-echo-64"_kj, []() { return nativeEchoes(64, ownEcho); }},
  {"graft"_kj, repeatGrafts},
  {"spawn"_kj, []() { return repeatSpawns(1); }},
  {"spawn-32"_kj, []() { return repeatSpawns(32); }},
  {"spawn-on-all"_kj, repeatSpawnsOnAll},
  {"load"_kj, repeatLoads},
  {"pipe-out"_kj, repeatPipeOut},
};

}  // namespace

Again again(kj::FunctionParam<kj::uint()> turn) {
  turn();
  Again result;
  while (result.seconds < LEAST_SECONDS) {
    result.seconds += timed([&]() { result.count += turn(); });
  }
  return result;
}

bool profile(kj::StringPtr name) {
  for (auto& subject: SUBJECTS) {
    if (subject.name != name) continue;
    auto result = subject.run();
    printf("%u %f\n", result.count, result.seconds);
    return true;
  }
  return false;
}

}  // namespace ww::bench
