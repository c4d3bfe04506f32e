#pragma once
// So many bytes a second, and a second's worth at once. What was taken beyond that is owed: there
// is more once the time has come that getNext() says. A value, of one event loop.

#include <kj/common.h>
#include <kj/time.h>

namespace ww {

class ByteAllowance final {
 public:
  ByteAllowance(uint64_t perSecond, kj::TimePoint now)
      : perSecond(perSecond), paidUntil(now - AT_ONCE) {}

  void take(uint64_t bytes, kj::TimePoint now) {
    paidUntil = kj::max(paidUntil, now - AT_ONCE) + int64_t(bytes) * kj::SECONDS / perSecond;
  }
  kj::TimePoint getNext() const { return paidUntil; }
  bool isWhole(kj::TimePoint now) const { return paidUntil <= now - AT_ONCE; }

 private:
  static constexpr kj::Duration AT_ONCE = 1 * kj::SECONDS;

  const uint64_t perSecond;
  kj::TimePoint paidUntil;
};

}  // namespace ww
