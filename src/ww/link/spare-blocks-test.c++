#include <ww/link/spare-blocks.h>

#include <kj/test.h>
#include <kj/thread.h>
#include <kj/vector.h>

namespace ww {
namespace {

using capnp::word;

kj::ArrayPtr<const kj::byte> bytesOf(kj::ArrayPtr<const word> words) { return words.asBytes(); }

KJ_TEST("a block that was given back is the next one taken, and no other size is") {
  auto small = SpareBlocks::take(SpareBlocks::SMALL_WORDS);
  auto at = small.begin();
  SpareBlocks::give(kj::mv(small));
  auto large = SpareBlocks::take(SpareBlocks::LARGE_WORDS);
  KJ_EXPECT(large.size() == SpareBlocks::LARGE_WORDS);
  KJ_EXPECT(large.begin() != at);
  auto again = SpareBlocks::take(SpareBlocks::SMALL_WORDS);
  KJ_EXPECT(again.begin() == at);
  KJ_EXPECT(SpareBlocks::take(7).size() == 7);
  SpareBlocks::give(kj::mv(again));
  SpareBlocks::give(kj::mv(large));
  SpareBlocks::give(nullptr);
  SpareBlocks::give(kj::heapArray<word>(7));  // not kept
  KJ_EXPECT(SpareBlocks::take(SpareBlocks::SMALL_WORDS).begin() == at);
}

KJ_TEST("what is taken as zeroed is, while others are left as they were") {
  auto block = SpareBlocks::takeZeroed();
  KJ_EXPECT(block.size() == SpareBlocks::ZEROED_WORDS);
  for (auto b: bytesOf(block)) KJ_ASSERT(b == 0);
  SpareBlocks::giveZeroed(kj::mv(block));
  SpareBlocks::giveZeroed(nullptr);

  auto small = SpareBlocks::take(SpareBlocks::SMALL_WORDS);
  memset(small.begin(), 0x5a, bytesOf(small).size());
  SpareBlocks::give(kj::mv(small));
  auto first = SpareBlocks::takeZeroed(), second = SpareBlocks::takeZeroed();
  KJ_EXPECT(first.begin() != second.begin());
  for (auto b: bytesOf(first)) KJ_ASSERT(b == 0);
  for (auto b: bytesOf(second)) KJ_ASSERT(b == 0);
}

KJ_TEST("blocks that are held at once are apart, however many there are; few are kept") {
  kj::Vector<kj::Array<word>> held;
  for (kj::byte i = 0; i < 100; i++) {
    held.add(SpareBlocks::take(SpareBlocks::LARGE_WORDS));
    memset(held.back().begin(), i, bytesOf(held.back()).size());
  }
  for (kj::byte i = 0; i < 100; i++) {
    KJ_EXPECT(bytesOf(held[i]).front() == i && bytesOf(held[i]).back() == i);
  }
  for (auto& block: held) SpareBlocks::give(kj::mv(block));
}

// Takes and gives once its thread's blocks are gone.
struct Late {
  ~Late() noexcept(false) {
    auto block = SpareBlocks::take(SpareBlocks::SMALL_WORDS);
    memset(block.begin(), 1, sizeof(word));
    SpareBlocks::give(kj::mv(block));
    SpareBlocks::giveZeroed(SpareBlocks::takeZeroed());
    *done = true;
  }
  bool* done;
};

KJ_TEST("threads share none, and one that ends may use them to its last") {
  auto mine = SpareBlocks::take(SpareBlocks::SMALL_WORDS);
  auto at = mine.begin();
  SpareBlocks::give(kj::mv(mine));
  bool done = false;
  kj::Thread([&]() {
    static thread_local Late late{&done};  // made first, so that it goes last
    late.done = &done;
    KJ_EXPECT(SpareBlocks::take(SpareBlocks::SMALL_WORDS).begin() != at);
  });
  KJ_EXPECT(done);
}

}  // namespace
}  // namespace ww
