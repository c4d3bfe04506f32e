#pragma once
// How many cells run on each of a node's loops, and which loop has the fewest. One atomic a loop,
// written where a cell is placed and where it ends.

#include <atomic>
#include <kj/refcount.h>
#include <vector>

namespace ww {

class LoopLoads final: public kj::AtomicRefcounted {
 public:
  explicit LoopLoads(kj::uint loops): loads(loops) {}
  KJ_DISALLOW_COPY_AND_MOVE(LoopLoads);

  // Of the own loop's, above the fewest, that move nothing: a quarter of them, and so many.
  static constexpr kj::uint MOST_AHEAD = 4;

  // One cell of a loop, from its placing to its end. Any thread.
  class Mark {
   public:
    Mark(const LoopLoads& loads, kj::uint loop): loads(kj::atomicAddRef(loads)), loop(loop) {
      this->loads->at(loop).fetch_add(1, std::memory_order_relaxed);
    }
    Mark(Mark&&) = default;
    Mark& operator=(Mark&&) = default;
    ~Mark() noexcept(false) {
      if (loads.get() != nullptr) loads->at(loop).fetch_sub(1, std::memory_order_relaxed);
    }
    KJ_DISALLOW_COPY(Mark);

    kj::uint getLoop() const { return loop; }

   private:
    kj::Own<const LoopLoads> loads;
    kj::uint loop;
  };

  // On the loop with the fewest; on `own`, where no other has fewer, or hardly: at home a cell
  // starts sooner, and two loops that start many each do not exchange them.
  Mark place(kj::uint own) const {
    auto best = own;
    for (kj::uint i = 0; i < loads.size(); i++) {
      if (count(i) < count(best)) best = i;
    }
    auto mine = count(own);
    auto hardly = kj::min(mine / 4, MOST_AHEAD);
    return Mark(*this, count(best) + hardly < mine ? best : own);
  }

  kj::uint count(kj::uint loop) const { return at(loop).load(std::memory_order_relaxed); }
  kj::uint loopCount() const { return loads.size(); }

 private:
  struct alignas(128) Load {
    mutable std::atomic<kj::uint> cells{0};
  };
  std::atomic<kj::uint>& at(kj::uint loop) const { return loads[loop].cells; }

  const std::vector<Load> loads;  // KJ's arrays take no note of the alignment
};

}  // namespace ww
