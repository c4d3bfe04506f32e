#pragma once
// A walk over what is all here never waits, and so would keep its event loop from looking whether
// anything came for others. Every few blocks, or whatever it goes through, it lets the loop look.

#include <algorithm>
#include <kj/async.h>

namespace ww {

class Breath final {
 public:
  static constexpr kj::uint BLOCKS = 4;      // which take some milliseconds to hash
  static constexpr kj::uint NAMES = 1024;    // likewise, to compare and to copy

  explicit Breath(kj::uint each = BLOCKS): each(each) {}

  // Of one more. Where one is due, its promise resolves after the loop has looked.
  kj::Maybe<kj::Promise<void>> after() {
    if (++count % each != 0) return nullptr;
    return take();
  }

  // Resolves after the loop has looked.
  static kj::Promise<void> take() { return kj::getCurrentThreadExecutor().executeAsync([]() {}); }

 private:
  const kj::uint each;
  kj::uint count = 0;
};

// As std::sort by `<`, for what may be a million of them. `all` outlives the promise.
template <typename T>
kj::Promise<void> sortWithBreaths(kj::ArrayPtr<T> all) {
  Breath breath(Breath::NAMES);
  auto begin = all.begin();
  for (size_t size = 2; size <= all.size(); size++) {
    std::push_heap(begin, begin + size);
    KJ_IF_MAYBE(rest, breath.after()) co_await *rest;
  }
  for (size_t size = all.size(); size >= 2; size--) {
    std::pop_heap(begin, begin + size);
    KJ_IF_MAYBE(rest, breath.after()) co_await *rest;
  }
}

}  // namespace ww
