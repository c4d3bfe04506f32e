#pragma once
// Notices a peer that begins a message and does not go on, or goes on so slowly that what it has
// sent is held for nothing. Over `patience` there must come its end, or bytes at LEAST_RATE, or at
// the rate at which what is held of it doubles within DOUBLING, if that is more. Less is told after
// `patience` at the earliest, and twice that at the latest. A link that is idle between messages
// costs nothing here.
//
// One event loop. `timer` outlives it.

#include <kj/async.h>
#include <kj/function.h>
#include <kj/timer.h>
#include <ww/link/read-observer.h>

namespace ww {

class StallWatch final: public ReadObserver {
 public:
  static constexpr uint64_t LEAST_RATE = 4 << 10;  // bytes a second
  static constexpr kj::Duration DOUBLING = 120 * kj::SECONDS;

  // `onStall` is called once, from an event of the loop, with what the peer is to be told.
  StallWatch(kj::Timer& timer, kj::Duration patience, kj::Function<void(kj::Exception&&)> onStall);
  KJ_DISALLOW_COPY_AND_MOVE(StallWatch);

  void onRead(const ReadProgress& progress) override;

 private:
  kj::Promise<void> watch();
  uint64_t leastWith(uint64_t held) const;  // bytes, at least one

  kj::Timer& timer;
  const kj::Duration patience;
  kj::Function<void(kj::Exception&&)> onStall;
  ReadProgress now;
  bool isWatching = false;
  kj::Promise<void> watching = nullptr;
};

}  // namespace ww
