#pragma once
// What the figures are made with. Each stands beside its ceiling, measured in turn with it, since
// the machine is shared and its speed drifts: what is told is the one of several rounds whose ratio
// is in the middle.

#include <kj/array.h>
#include <kj/async.h>
#include <kj/common.h>
#include <kj/function.h>
#include <kj/string.h>
#include <kj/vector.h>
#include <peer.capnp.h>
#include <stdio.h>

namespace ww::bench {

constexpr int TRIALS = 7;

// Seconds that `work` took.
double timed(kj::FunctionParam<void()> work);

// The smallest of TRIALS results.
double best(kj::FunctionParam<double()> trial);

double middle(kj::ArrayPtr<double> values);  // sorts them

// What is compared: it and its ceiling, of one round.
struct Round {
  double value, ceiling;
  double ratio = value / ceiling;
};

// That with the ratio in the middle.
Round median(kj::ArrayPtr<const Round> rounds);

// What is measured in turn, a row a round.
class Rounds {
 public:
  // One of each, in this order.
  template <typename... Measures>
  void turn(Measures&&... measures) {
    double row[] = {double(measures())...};
    rows.add(kj::heapArray<double>(row));
  }

  // Of the measures with these numbers; the ceiling's counted so many times.
  Round median(size_t value, size_t ceiling, double times = 1) const;

 private:
  kj::Vector<kj::Array<double>> rows;
};

// ------------------------------------------------------------------------------------ figures

enum class Unit {
  SECONDS,           // the fewer the better, and likewise bytes and percent
  PER_SECOND,        // the more the better, and likewise bytes a second
  BYTES,
  BYTES_PER_SECOND,
  PERCENT,           // of a core
  COUNT,             // the more the better
};

// What a figure is to reach.
struct Target {
  enum class Of {
    NONE,
    PART,    // so much of its ceiling at least
    TIMES,   // so many times its ceiling at most
    LEAST,   // the figure itself
    MOST,
  } of = Of::NONE;
  double bound = 0;
};

struct Ceiling {
  kj::String name;
  double value;
  Unit unit;
};

struct Figure {
  kj::String name;
  Unit unit;
  double value;
  kj::Maybe<Ceiling> ceiling = nullptr;
  Target target = {};
  kj::Maybe<double> part = nullptr;  // of its ceiling; none: what the two values say
  kj::String note = nullptr;  // for a person: what it is not
};

// A rate, and a time, of a round whose values are seconds.
Figure rate(kj::String name, Round seconds, kj::StringPtr ceiling, Target target = {});
Figure time(kj::String name, Round seconds, kj::StringPtr ceiling, Target target = {});

// Of a round whose values are bytes a second.
Figure flow(kj::String name, Round bytes, kj::StringPtr ceiling, Target target = {});

// Where figures go: a line each on stdout, and to `json`, one object a line, if there is one.
class Report {
 public:
  explicit Report(FILE* json): json(json) {}
  KJ_DISALLOW_COPY_AND_MOVE(Report);

  void begin(kj::StringPtr part);  // what follows belongs to it
  void add(const Figure& figure);
  void cannot(kj::StringPtr name, kj::StringPtr why);

 private:
  void write(kj::StringPtr fields);

  FILE* const json;
  kj::String part;
};

// ------------------------------------------------------------------------------------ native.c++

// An Executor whose echo is the node's, without a session.
peer::Executor::Client makeEcho();

// Seconds a call of stock Cap'n Proto between two ends of a pipe in this process; with our quotas
// at the serving end or without.
enum class Quota { OFF, ON };
double nativeEcho(kj::WaitScope& waitScope, kj::uint calls, kj::uint inFlight, size_t bytes,
                  Quota quota = Quota::OFF);

// The same with our network at both ends, over a channel in memory.
double ownEcho(kj::WaitScope& waitScope, kj::uint calls, kj::uint inFlight, size_t bytes);

// Seconds a call of `executor`.
double echoSeconds(kj::WaitScope& waitScope, peer::Executor::Client executor, kj::uint calls,
                   kj::uint inFlight, size_t bytes);

// ------------------------------------------------------------------------------------ profile.c++

// How often something was done, and in how many seconds.
struct Again {
  kj::uint count = 0;
  double seconds = 0;
};

// Does `turn`, which does something so often as it says, once to begin with, and then for some
// seconds.
Again again(kj::FunctionParam<kj::uint()> turn);

// The one thing with that name, again and again; prints how often. False: there is none.
bool profile(kj::StringPtr name);

// Has a node of so many loops, and a cell on each that does what the words after the first say
// whenever a line comes, with the component on its stdin that the first names; answers with
// how many a second, of all together: as it was, and if each had a core of its own.
void serveLoops(kj::uint count, kj::ArrayPtr<const kj::StringPtr> words);  // threads.c++

Again repeatSpawns(kj::uint inFlight);  // spawn.c++
Again repeatBareEchoes(kj::uint inFlight);  // echo.c++
Again repeatGrafts();                   // guests.c++
Again repeatPipeOut();                  // streams.c++: pieces of 64 KiB
Again repeatSpawnsOnAll();              // threads.c++: on as many loops as there are cores
Again repeatLoads();                    // spawn.c++: code from the disk cache

// ------------------------------------------------------------------------------------ parts

// Each adds its figures, in a file of its name but where another is named.
void benchEcho(Report& report);
void benchQuota(Report& report);     // native.c++
void benchGuests(Report& report);
void benchGraft(Report& report);     // guests.c++
void benchSpawn(Report& report);
void benchStreams(Report& report);
void benchIdle(Report& report);
void benchBusy(Report& report);
void benchKill(Report& report);      // busy.c++
void benchMembrane(Report& report);
void benchEpoch(Report& report);
void benchThreads(Report& report);
void benchImages(Report& report);

}  // namespace ww::bench
