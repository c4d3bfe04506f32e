// Whatever kills a process that writes to the store, and whenever: what it said that it had kept is
// there and right, nothing is there in part, and the next process goes on.
//
// The seed is printed; WW_SEED=N runs that one again.
#include <ww/node/image-store.h>

#include <kj/debug.h>
#include <kj/test.h>
#include <random>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

constexpr kj::uint KILLS = 200;
constexpr uint64_t STORE_BYTES = 2 << 20;  // little, so that blocks are collected all the time
constexpr kj::uint MAX_BLOCKS = 6, MAX_SIZE = 64 << 10;
constexpr kj::uint MAX_SMALL_BLOCKS = 3 * BATCH_BLOCKS, MAX_SMALL_SIZE = 1 << 10;  // of one in four

using Random = std::mt19937_64;

// Image `number`, the same in each process.
struct TestImage {
  kj::Vector<kj::Array<kj::byte>> blocks;

  explicit TestImage(uint64_t number) {
    Random random(number);
    bool isSmall = random() % 4 == 0;
    auto count = 1 + random() % (isSmall ? MAX_SMALL_BLOCKS : MAX_BLOCKS);
    for (uint64_t i = 0; i < count; i++) {
      auto bytes = kj::heapArray<kj::byte>(8 + random() % (isSmall ? MAX_SMALL_SIZE : MAX_SIZE));
      auto pattern = random();
      for (size_t j = 0; j < bytes.size(); j++) bytes[j] = kj::byte(pattern >> (j % 8 * 8));
      blocks.add(kj::mv(bytes));
    }
  }
  Cid getRoot() const { return Cid::of(Cid::RAW, blocks[0]); }
};

ImageStore open(TempFolder& folder, Logger& logger) {
  return {folder.at("images"), STORE_BYTES, kj::systemPreciseCalendarClock(), logger};
}

// Puts images from `number` on, pins each and tells of it; those before are pinned no more.
void write(TempFolder& folder, uint64_t number, int tell) {
  MemoryLogger logger;
  auto store = open(folder, logger);
  for (;; number++) {
    TestImage image(number);
    auto root = image.getRoot(), before = TestImage(number - 1).getRoot();
    for (auto& old: store.list()) {
      if (old.pinned && !(old.cid == before)) store.setPinned(old.cid, false);
    }
    {
      auto kept = store.keep(root);
      for (auto& block: image.blocks) kept->put(Cid::of(Cid::RAW, block), block);
      kept->finish();
    }
    store.setPinned(root, true);
    if (::write(tell, &number, sizeof(number)) != sizeof(number)) return;
  }
}

// What the child told of last, if it did, when it was killed at a moment of `random`'s choice.
kj::Maybe<uint64_t> writeAndKill(TempFolder& folder, uint64_t next, Random& random) {
  int ends[2];
  KJ_SYSCALL(pipe(ends));
  kj::AutoCloseFd in(ends[0]), out(ends[1]);
  pid_t child;
  KJ_SYSCALL(child = fork());
  if (child == 0) {
    kj::runCatchingExceptions([&]() { write(folder, next, out); });
    _exit(1);
  }
  out = nullptr;
  kj::Maybe<uint64_t> last;
  auto take = [&]() {
    uint64_t number;
    if (read(in, &number, sizeof(number)) != sizeof(number)) return false;
    last = number;
    return true;
  };
  for (auto count = random() % 6; count > 0 && take(); count--) {}
  for (volatile uint64_t spins = random() % 3'000'000; spins > 0; spins = spins - 1) {}
  KJ_SYSCALL(kill(child, SIGKILL));
  int status;
  KJ_SYSCALL(waitpid(child, &status, 0));
  KJ_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, status);
  while (take()) {}  // what it told before
  return last;
}

void expectWhole(ImageStore& store, uint64_t number) {
  TestImage image(number);
  auto stored = store.findImage(image.getRoot().toText());
  auto& found = KJ_ASSERT_NONNULL(stored, number);
  KJ_ASSERT(found.whole && found.pinned && !found.inUse, number);
  for (auto& block: image.blocks) {
    auto bytes = store.find(Cid::of(Cid::RAW, block));
    KJ_ASSERT(KJ_ASSERT_NONNULL(bytes) == block, number);
  }
}

KJ_TEST("200 kills leave no block in part, and all that was kept") {
  auto given = getenv("WW_SEED");
  auto seed = given == nullptr ? uint64_t(std::random_device()()) : strtoull(given, nullptr, 10);
  KJ_LOG(WARNING, "to run this again: WW_SEED", seed);
  Random random(seed);
  TempFolder folder;
  uint64_t next = 1, blocks = 0, partial = 0;
  for (kj::uint i = 0; i < KILLS; i++) {
    auto last = writeAndKill(folder, next, random);
    MemoryLogger logger;
    auto store = open(folder, logger);
    auto bytes = store.getBytes();
    auto check = store.verify([](uint64_t, uint64_t) {});
    KJ_ASSERT(check.damaged.empty() && logger.getLines().size() == 0, seed, i);
    KJ_ASSERT(check.bytes == bytes && bytes == store.getBytes() && bytes <= STORE_BYTES, seed, i);
    KJ_IF_MAYBE(number, last) {
      expectWhole(store, *number);
      next = *number + 1;
    }
    blocks += check.blocks;
    partial += check.incomplete.size();
  }
  KJ_LOG(WARNING, "blocks that were whole after a kill, images in part", blocks, partial);
  KJ_EXPECT(next > KILLS && blocks > KILLS);
}

}  // namespace
}  // namespace ww
