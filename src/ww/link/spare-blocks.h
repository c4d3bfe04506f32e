#pragma once
// Buffers that no link of this thread has anything in. A link takes one when bytes come, and gives
// it back when they are gone: an idle link has none, and busy ones share those that lie in the
// caches.

#include <capnp/common.h>
#include <kj/vector.h>
#include <string.h>

namespace ww {

class SpareBlocks {
 public:
  static constexpr size_t SMALL_WORDS = 512;
  static constexpr size_t LARGE_WORDS = 16 * 1024;
  static constexpr size_t ZEROED_WORDS = 144;

  // Contents are those that it was left with. Of another size: just made.
  static kj::Array<capnp::word> take(size_t words) {
    KJ_IF_MAYBE(spares, ofThread()) {
      if (words == SMALL_WORDS) return spares->small.take(words);
      if (words == LARGE_WORDS) return spares->large.take(words);
    }
    return kj::heapArray<capnp::word>(words);
  }

  // Freed, if it is of another size or there are enough of them.
  static void give(kj::Array<capnp::word> block) {
    KJ_IF_MAYBE(spares, ofThread()) {
      if (block.size() == SMALL_WORDS) return spares->small.give(kj::mv(block));
      if (block.size() == LARGE_WORDS) return spares->large.give(kj::mv(block));
    }
  }

  // Of ZEROED_WORDS, all of them zero; it is to be given back so.
  static kj::Array<capnp::word> takeZeroed() {
    KJ_IF_MAYBE(spares, ofThread()) {
      if (!spares->zeroed.isEmpty()) return spares->zeroed.take(ZEROED_WORDS);
    }
    auto block = kj::heapArray<capnp::word>(ZEROED_WORDS);
    memset(block.begin(), 0, ZEROED_WORDS * sizeof(capnp::word));
    return block;
  }
  static void giveZeroed(kj::Array<capnp::word> block) {
    if (block.size() == 0) return;
    KJ_IF_MAYBE(spares, ofThread()) spares->zeroed.give(kj::mv(block));
  }

 private:
  template <size_t MOST>
  class Stack {
   public:
    kj::Array<capnp::word> take(size_t words) {
      if (blocks.empty()) return kj::heapArray<capnp::word>(words);
      auto block = kj::mv(blocks.back());
      blocks.removeLast();
      return block;
    }
    bool isEmpty() const { return blocks.empty(); }
    void give(kj::Array<capnp::word> block) {
      if (blocks.size() < MOST) blocks.add(kj::mv(block));
    }

   private:
    kj::Vector<kj::Array<capnp::word>> blocks;
  };

  SpareBlocks() {}
  ~SpareBlocks() noexcept(false) { isGone() = true; }
  KJ_DISALLOW_COPY_AND_MOVE(SpareBlocks);

  // A link may outlive what its thread had.
  static bool& isGone() {
    static thread_local bool gone = false;
    return gone;
  }

  static kj::Maybe<SpareBlocks&> ofThread() {
#ifdef __wasm__
    static auto& all = *new SpareBlocks();  // a guest has one thread, which does not end
#else
    static thread_local SpareBlocks all;
    if (isGone()) return nullptr;
#endif
    return all;
  }

  Stack<32> small;
  Stack<4> large;
  Stack<128> zeroed;
};

}  // namespace ww
