#pragma once
// How many there are of something, on all loops together. A place that was taken is held for as
// long as it lives; at most so many are given, however many ask at once.

#include <atomic>
#include <kj/memory.h>
#include <kj/refcount.h>
#include <stddef.h>

namespace ww {

class CellCount final: public kj::AtomicRefcounted {
 public:
  CellCount() {}
  KJ_DISALLOW_COPY_AND_MOVE(CellCount);

  // Of one. May be moved, and dropped, on any thread.
  class Place {
   public:
    explicit Place(kj::Own<const CellCount> of): of(kj::mv(of)) {}
    Place(Place&&) = default;
    Place& operator=(Place&&) = default;
    ~Place() noexcept(false) {
      if (of.get() != nullptr) of->value.fetch_sub(1, std::memory_order_relaxed);
    }
    KJ_DISALLOW_COPY(Place);

   private:
    kj::Own<const CellCount> of;
  };

  // Nothing where there are `most` already.
  kj::Maybe<Place> tryTake(size_t most) const {
    if (value.fetch_add(1, std::memory_order_relaxed) < most) {
      return Place(kj::atomicAddRef(*this));
    }
    value.fetch_sub(1, std::memory_order_relaxed);
    return nullptr;
  }

  size_t get() const { return value.load(std::memory_order_relaxed); }

 private:
  mutable std::atomic<size_t> value{0};
};

}  // namespace ww
