#pragma once
// How long one is waited for who sends something: as long as it comes, and comes no slower than
// so. So a slow link is no reason to give up, and a byte now and then none to go on.
//
// `silence` is how long nothing may come, at the beginning too; once that has passed there must
// have come `leastRate` bytes for each second more. `mostBytes` is what is waited for at the most:
// more buys no more time. A value; whose clock it is is its owner's business.

#include <kj/common.h>
#include <kj/time.h>

namespace ww {

class Patience final {
 public:
  Patience(kj::TimePoint now, kj::Duration silence, uint64_t leastRate, uint64_t mostBytes)
      : silence(silence), leastRate(leastRate), mostBytes(mostBytes), begin(now), last(now) {}

  void hear(uint64_t more, kj::TimePoint now) {
    bytes = kj::min(bytes + more, mostBytes);
    last = now;
  }

  // All that was waited for is here, and as much is waited for again.
  void restart(kj::TimePoint now) {
    begin = last = now;
    bytes = 0;
  }

  // When it ends, as far as is known by now.
  kj::TimePoint getEnd() const {
    return kj::min(last + silence, begin + silence + int64_t(bytes) * kj::SECONDS / leastRate);
  }

 private:
  kj::Duration silence;
  uint64_t leastRate, mostBytes, bytes = 0;
  kj::TimePoint begin, last;
};

}  // namespace ww
