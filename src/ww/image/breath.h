#pragma once
// A walk over what is all here never waits, and so would keep its event loop from looking whether
// anything came for others. Every few blocks it lets the loop look.

#include <kj/async.h>

namespace ww {

class Breath final {
 public:
  static constexpr kj::uint BLOCKS = 4;  // which take some milliseconds to hash

  // Of one block more. Where one is due, its promise resolves after the loop has looked.
  kj::Maybe<kj::Promise<void>> after() {
    if (++blocks % BLOCKS != 0) return nullptr;
    return kj::getCurrentThreadExecutor().executeAsync([]() {});
  }

 private:
  kj::uint blocks = 0;
};

}  // namespace ww
