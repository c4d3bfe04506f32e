#pragma once
// An attack on a node, a victim that is served all the while, and what is left of it: the second
// time it is run it leaves no memory and no descriptor behind.

#include <kj/test.h>
#include <kj/vector.h>
#include <stdint.h>
#include "test-node.h"

namespace ww {

// A turn of a cell takes a millisecond.
class SteadyClock final: public ffi::CpuClock {
 public:
  void begin() override {}
  uint64_t endNs() override { return 1'000'000; }
};

// Prints what was measured.
void say(kj::StringPtr line);

uint64_t residentBytes();
kj::uint openDescriptors();

// A cell that answers what it is told, again and again.
class Victim {
 public:
  explicit Victim(TestNode& node, bool mayEnd = false);

  kj::uint getServed() const { return served; }
  bool isServed() const { return !failed; }  // up to now

  // How long it waited for its answers: 99 of 100 for less than this, and the longest, which is as
  // long as the loop was at anything else at least.
  kj::Duration getMostlyBelow() const;
  kj::Duration getLongest() const { return longest; }

  // Between one answer and the next.
  void onServed(kj::Function<void()> told) { this->told = kj::mv(told); }

 private:
  kj::Promise<void> goOn();

  Process::Client process;
  ByteStream::Client in, out;
  // Waits, by tenths of milliseconds; the last for all that are longer.
  static constexpr size_t WAITS = 1000;
  static constexpr kj::Duration TENTH = 100 * kj::MICROSECONDS;

  kj::uint served = 0;
  kj::uint waits[WAITS] = {};
  kj::Duration longest = 0 * kj::SECONDS;
  bool failed = false;
  kj::Maybe<kj::Function<void()>> told;
  kj::Promise<void> going;
};

// Runs `attack` twice beside a victim, and expects of the second time that
// - the victim was served while it went on, and is at its end,
// - no descriptor, and of memory no more than 5 %, is left behind,
// - and the node answers.
// What was measured is printed. A victim that `mayEnd` has a limit that ends the others, and so
// itself: then the node alone answers to the end.
void campaign(kj::StringPtr name, TestNode& node, kj::Function<void()> attack,
              bool mayEnd = false);

}  // namespace ww
