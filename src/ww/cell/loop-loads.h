#pragma once
// How many cells run on each of a node's loops, and which loop has the fewest. One atomic a loop,
// written where a cell is placed and where it ends.

#include <atomic>
#include <kj/common.h>
#include <utility>
#include <vector>

namespace ww {

class LoopLoads final {
 public:
  explicit LoopLoads(kj::uint loops): loads(loops) {}
  KJ_DISALLOW_COPY_AND_MOVE(LoopLoads);

  // Of the own loop's, above the fewest, that move nothing: a quarter of them, and so many.
  static constexpr kj::uint MOST_AHEAD = 4;

  // One cell of a loop, from its placing to its end. Any thread. It is gone before the loads are.
  class Mark {
   public:
    Mark(const LoopLoads& loads, kj::uint loop): loads(&loads), loop(loop) {
      loads.at(loop).fetch_add(1, std::memory_order_relaxed);
    }
    Mark(Mark&& other): loads(other.loads), loop(other.loop) { other.loads = nullptr; }
    Mark& operator=(Mark&& other) {
      std::swap(loads, other.loads);
      std::swap(loop, other.loop);
      return *this;
    }
    ~Mark() noexcept(false) {
      if (loads != nullptr) loads->at(loop).fetch_sub(1, std::memory_order_relaxed);
    }
    KJ_DISALLOW_COPY(Mark);

    kj::uint getLoop() const { return loop; }

   private:
    const LoopLoads* loads;  // which is not counted: all loops would do that in one place
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
