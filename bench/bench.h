#pragma once
// What the figures are made with: the best of several trials, since the machine is shared; the
// ceiling is measured in turn with what it stands beside.

#include <kj/array.h>
#include <kj/async.h>
#include <kj/common.h>
#include <kj/function.h>
#include <kj/string.h>
#include <peer.capnp.h>

namespace ww::bench {

constexpr int TRIALS = 7;

// Seconds that `work` took.
double timed(kj::FunctionParam<void()> work);

// The smallest of TRIALS results.
double best(kj::FunctionParam<double()> trial);

// One round of what is compared: rates of it and of its ceiling, measured in turn, so that the
// machine's moods hit both alike.
struct Round {
  double value, ceiling;
};

// The one whose ratio is in the middle.
Round median(kj::ArrayPtr<Round> rounds);

// A figure a line: its value, its ceiling, and what part of the ceiling it reaches.
void print(kj::StringPtr name, kj::StringPtr value, kj::StringPtr ceilingName = nullptr,
           kj::StringPtr ceiling = nullptr, kj::StringPtr ratio = nullptr);
kj::String us(double seconds);
kj::String perSecond(double seconds);   // one in that time
kj::String ratio(double value);

// native.c++: seconds a call of stock Cap'n Proto between two ends of a pipe in this process; with
// our quotas at the serving end or without.
enum class Quota { OFF, ON };
double nativeEcho(kj::WaitScope& waitScope, kj::uint calls, kj::uint inFlight, size_t bytes,
                  Quota quota = Quota::OFF);
// Seconds a call of `executor`.
double echoSeconds(kj::WaitScope& waitScope, peer::Executor::Client executor, kj::uint calls,
                   kj::uint inFlight, size_t bytes);
// Bytes a second through a pipe of KJ's, in 64 KiB pieces.
double nativePipe(kj::WaitScope& waitScope, size_t bytes);

// cells.c++: each prints its lines.
void benchEcho();
void benchQuota();
void benchGraft();
void benchSpawn();
void benchStreams();
void benchIdle();
void benchBusy();
void benchKill();

// membrane.c++, epoch.c++, threads.c++: likewise.
void benchMembrane();
void benchEpoch();
void benchThreads();

}  // namespace ww::bench
