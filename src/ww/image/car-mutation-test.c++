// A hundred thousand CAR files, each damaged somewhere: what is accepted is the same tree, and
// takes no more memory than is set down for it here.

#include <ww/image/car-reader.h>
#include <ww/image/car-writer.h>

#include <kj/test.h>
#include <ww/image/dag-fixture-test.h>
#include <ww/image/file-stream.h>

namespace ww {
namespace {

#if __has_feature(address_sanitizer)
constexpr kj::uint CARS = 10000;  // each takes ten times as long
#else
constexpr kj::uint CARS = 100000;
#endif

// Deterministic: the seed is the number of the file.
class Dice {
 public:
  explicit Dice(uint64_t seed): state(seed * 0x9e3779b97f4a7c15u + 1) {}
  size_t roll(size_t sides) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % sides;
  }

 private:
  uint64_t state;
};

using Bytes = kj::Vector<kj::byte>;

Bytes with(kj::ArrayPtr<const kj::byte> a, kj::ArrayPtr<const kj::byte> b,
           kj::ArrayPtr<const kj::byte> c) {
  Bytes all;
  for (auto part: {a, b, c}) all.addAll(part);
  return all;
}

// One change of a file: a bit, a byte, a piece that goes, comes twice, moves, or is overwritten.
Bytes mutate(kj::ArrayPtr<const kj::byte> car, Dice& dice) {
  auto at = dice.roll(car.size());
  auto end = kj::min(car.size(), at + 1 + dice.roll(dice.roll(2) ? 4 : 80));
  auto before = car.slice(0, at), piece = car.slice(at, end), after = car.slice(at, car.size());
  auto rest = car.slice(end, car.size());
  switch (dice.roll(8)) {
    case 0: {
      auto changed = with(car, nullptr, nullptr);
      changed[at] ^= 1 << dice.roll(8);
      return changed;
    }
    case 1: {
      auto changed = with(car, nullptr, nullptr);
      changed[at] = dice.roll(256);
      return changed;
    }
    case 2: return with(before, nullptr, rest);
    case 3: return with(before, piece, after);
    case 4: return with(before, nullptr, nullptr);
    case 5: return with(car, piece, nullptr);
    case 6: {
      auto to = dice.roll(before.size() + 1);
      auto moved = with(before.slice(0, to), piece, before.slice(to, before.size()));
      moved.addAll(rest);
      return moved;
    }
    default: {
      auto changed = with(car, nullptr, nullptr);
      auto to = dice.roll(car.size() - piece.size() + 1);
      memcpy(changed.begin() + to, piece.begin(), piece.size());
      return changed;
    }
  }
}

struct MutationWorld: DagWorld {
  kj::Array<kj::byte> car;
  kj::String tree;
  kj::uint accepted = 0, refused = 0;

  MutationWorld() {
    limits.heldBytes = 64 << 10;
    Importer importer(store, { .chunkBytes = 100, .fileLinks = 3, .directoryBytes = 300 });
    auto add = [&](kj::StringPtr path, kj::ArrayPtr<const kj::byte> bytes) {
      importer.beginFile(path, false);
      importer.piece(bytes);
      importer.endFile();
    };
    add("main.wasm", noise(777));
    importer.directory("lib");
    for (int i = 0; i < 8; i++) add(kj::str("lib/", i), kj::str(i).asBytes());
    importer.directory("etc");
    auto root = importer.finish();
    kj::VectorOutputStream out;
    SyncOutput stream(out);
    writeCar(blocks, root, limits, stream).wait(waitScope);
    car = kj::heapArray(out.getArray());
    tree = read(root);
  }

  // The tree that a file has, if it is taken for one.
  kj::Maybe<kj::String> load(kj::Array<kj::byte> bytes) {
    MemoryBlockStore into(2 * car.size());
    BlockFetcher from(into, nullptr, logger);
    ListingSink sink;
    auto file = kj::newInMemoryFile(kj::nullClock());
    file->writeAll(bytes);
    FileInput in(kj::mv(file));
    CarLimits carLimits { .bytes = 4 * car.size(), .blocks = 100 };
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
      auto summary = readCar(in, "app.car", carLimits, into).wait(waitScope);
      KJ_REQUIRE(summary.roots.size() == 1, "roots");
      readTree(from, summary.roots[0], limits, sink).wait(waitScope);
    })) {
      (void)e;
      return nullptr;
    }
    return sink.text();
  }
};

KJ_TEST("of damaged CAR files, those that are accepted hold the same tree") {
  MutationWorld t;
  for (kj::uint i = 0; i < CARS; i++) {
    Dice dice(i);
    auto bytes = mutate(t.car, dice);
    while (dice.roll(4) == 0 && bytes.size() > 0) bytes = mutate(bytes, dice);
    KJ_IF_MAYBE(tree, t.load(bytes.releaseAsArray())) {
      KJ_ASSERT(*tree == t.tree, "another tree was accepted", i);
      ++t.accepted;
    } else {
      ++t.refused;
    }
  }
  // A block that comes twice, or in another place, does no harm; nearly all else does.
  KJ_EXPECT(t.accepted > 0 && t.accepted < CARS / 10, t.accepted);
  KJ_EXPECT(t.refused > CARS / 2, t.refused);
}

KJ_TEST("the undamaged file is accepted") {
  MutationWorld t;
  KJ_EXPECT(KJ_ASSERT_NONNULL(t.load(kj::heapArray(t.car.asPtr()))) == t.tree);
}

}  // namespace
}  // namespace ww
