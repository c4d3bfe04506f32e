// What an image costs on its way in and out, beside the hash that stands in all of its content ids.
#include <kj/async.h>
#include <kj/debug.h>
#include <openssl/evp.h>
#include <string.h>
#include <ww/image/car-reader.h>
#include <ww/image/car-writer.h>
#include <ww/image/file-stream.h>
#include <ww/image/importer.h>
#include <ww/node/image-store.h>
#include <ww/node/image-tree.h>
#include <ww/node/temp-folder.h>
#include "bench.h"
#include "proc.h"

namespace ww::bench {
namespace {

constexpr size_t MIB = 1 << 20;
constexpr size_t PIECE = 256 << 10;        // that a file is read by
constexpr uint64_t IMAGE = 64 * MIB;       // half of it one file, half of 16 KiB each
constexpr uint64_t LARGE = uint64_t(1) << 30;
constexpr size_t SMALL_FILE = 16 << 10;

// Bytes of which no two pieces are alike: noise with a number in front.
class Noise {
 public:
  Noise(): bytes(kj::heapArray<kj::byte>(PIECE)) {
    uint64_t state = 1;
    for (auto& byte: bytes) byte = (state = state * 6364136223846793005u + 1) >> 56;
  }
  kj::ArrayPtr<const kj::byte> next(size_t size = PIECE) {
    ++number;
    memcpy(bytes.begin(), &number, sizeof(number));
    return bytes.slice(0, size);
  }

 private:
  kj::Array<kj::byte> bytes;
  uint64_t number = 0;
};

class NoStore final: public BlockStore {
 public:
  kj::Maybe<kj::Array<const kj::byte>> find(const Cid&) override { return nullptr; }
  void put(const Cid&, kj::ArrayPtr<const kj::byte>) override {}
};

// The most memory that is seen as bytes go by, looked at once for so many.
class Watch {
 public:
  uint64_t bytes = 0;
  double peak = 0;

  void pass(size_t more) {
    if (bytes / (8 * MIB) != (bytes + more) / (8 * MIB)) peak = kj::max(peak, residentBytes());
    bytes += more;
  }
};

class NoSink final: public TreeSink {
 public:
  void directory(kj::StringPtr) override {}
  void beginFile(kj::StringPtr, bool) override {}
  void piece(kj::ArrayPtr<const kj::byte> piece) override { watch.pass(piece.size()); }
  void endFile() override {}
  Watch watch;
};

class NoOutput final: public kj::OutputStream {
 public:
  void write(const void*, size_t size) override { watch.pass(size); }
  Watch watch;
};

// The files of an image, and what it takes at most meanwhile.
struct Files {
  uint64_t bytes, large;
  Watch watch = {};

  Cid into(BlockStore& store) {
    Noise noise;
    Importer importer(store);
    importer.beginFile("main.wasm", false);
    for (uint64_t at = 0; at < large; at += PIECE) {
      importer.piece(noise.next());
      watch.pass(PIECE);
    }
    importer.endFile();
    importer.directory("lib");
    for (uint64_t at = large; at < bytes; at += SMALL_FILE) {
      importer.beginFile(kj::str("lib/", at), false);
      importer.piece(noise.next(SMALL_FILE));
      importer.endFile();
    }
    return importer.finish();
  }
};

void sha256(uint64_t bytes) {
  Noise noise;
  kj::byte hash[32];
  unsigned int size = 0;
  for (uint64_t at = 0; at < bytes; at += PIECE) {
    auto piece = noise.next();
    KJ_ASSERT(EVP_Digest(piece.begin(), piece.size(), hash, &size, EVP_sha256(), nullptr) == 1);
  }
}

// To a file on the disk, all of it there at the end.
void written(kj::StringPtr name) {
  auto disk = kj::newDiskFilesystem();
  auto file = disk->getRoot().appendFile(kj::Path(nullptr).eval(name.slice(1)),
                                         kj::WriteMode::CREATE);
  Noise noise;
  for (uint64_t at = 0; at < IMAGE; at += PIECE) {
    auto piece = noise.next();
    file->write(piece.begin(), piece.size());
  }
  file->sync();
}

struct World {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  MemoryLogger logger;
  TreeLimits limits;
  CarLimits carLimits;

  uint64_t write(BlockStore& store, const Cid& root, kj::OutputStream& out) {
    BlockFetcher blocks(store, nullptr, logger);
    SyncOutput stream(out);
    return writeCar(blocks, root, limits, stream).wait(waitScope).bytes;
  }
  void readTree(BlockStore& store, const Cid& root, TreeSink& sink) {
    BlockFetcher blocks(store, nullptr, logger);
    ww::readTree(blocks, root, limits, sink).wait(waitScope);
  }
  Cid readCar(const kj::ReadableFile& file, BlockStore& store) {
    FileInput in(file.clone());
    auto summary = ww::readCar(in, "bench", carLimits, store).wait(waitScope);
    KJ_ASSERT(summary.roots.size() == 1);
    return kj::mv(summary.roots[0]);
  }
};

// Bytes a second.
double speed(kj::FunctionParam<void()> work) { return IMAGE / timed(work); }

constexpr kj::StringPtr NAMES[] = {
  "import: files to blocks"_kj, "export: blocks to a CAR file"_kj,
  "a CAR file to blocks, each checked"_kj, "blocks to files"_kj,
  "import into the store, all of it on the disk"_kj,
  "export out of the store, each block checked"_kj,
};
constexpr size_t DISK = 4;  // of these, what writes to the disk

void benchSpeeds(Report& report) {
  World world;
  MemoryBlockStore memory;
  Files files{IMAGE, IMAGE / 2};
  auto root = files.into(memory);
  auto car = kj::newInMemoryFile(kj::nullClock());
  auto toCar = kj::newFileAppender(car->clone());
  world.write(memory, root, *toCar);
  Rounds rounds;
  for (int i = 0; i < TRIALS; i++) {
    TempFolder folder;
    ImageStore disk(folder.at("images"), 4 * IMAGE, kj::systemCoarseCalendarClock(), world.logger);
    auto image = disk.keep(root);
    rounds.turn([&]() { return speed([&]() { NoStore none; files.into(none); }); },
                [&]() { return speed([&]() { NoOutput out; world.write(memory, root, out); }); },
                [&]() { return speed([&]() { NoStore none; world.readCar(*car, none); }); },
                [&]() { return speed([&]() { NoSink sink; world.readTree(memory, root, sink); }); },
                [&]() { return speed([&]() { files.into(*image), image->finish(); }); },
                [&]() { return speed([&]() { NoOutput out; world.write(*image, root, out); }); },
                [&]() { return speed([&]() { sha256(IMAGE); }); },
                [&]() { return speed([&]() { written(folder.at("file")); }); });
  }
  for (auto i: kj::indices(NAMES)) {
    report.add(flow(kj::str(NAMES[i]), rounds.median(i, kj::size(NAMES)),
                    "sha256 of the same bytes"));
  }
  report.add(flow(kj::str(NAMES[DISK]), rounds.median(DISK, kj::size(NAMES) + 1),
                  "the same bytes into a file on disk"));
}

// The same file from the store into a tree: written, and linked from another tree that has it.
void benchTrees(Report& report) {
  World world;
  TempFolder folder;
  ImageStore disk(folder.at("images"), 4 * IMAGE, kj::systemCoarseCalendarClock(), world.logger);
  auto draft = disk.begin();
  Files files{IMAGE, IMAGE};
  auto root = files.into(*draft);
  Rounds rounds;
  for (int i = 0; i < TRIALS; i++) {
    TreeFolder trees(folder.at(kj::str("trees", i)));
    auto merge = [&](kj::StringPtr layer) {
      auto tree = trees.begin();
      tree->beginLayer("bench");
      world.readTree(*draft, root, *tree);
      tree->directory(layer);  // by which they differ
      return tree->finish().wait(world.waitScope);
    };
    kj::Vector<kj::Own<MergedTree>> inUse;
    rounds.turn([&]() { return speed([&]() { inUse.add(merge("first")); }); },
                [&]() { return speed([&]() { inUse.add(merge("second")); }); },
                [&]() { return speed([&]() { sha256(IMAGE); }); });
  }
  auto ceiling = "sha256 of the same bytes"_kj;
  report.add(flow(kj::str("a tree from the store, its files written"), rounds.median(0, 2),
                  ceiling));
  report.add(flow(kj::str("a tree from the store, its files linked from another"),
                  rounds.median(1, 2), ceiling));
}

// A GiB into the store, out of it as a CAR file, and as files.
void benchMemory(Report& report) {
  World world;
  TempFolder folder;
  ImageStore disk(folder.at("images"), 4 * LARGE, kj::systemCoarseCalendarClock(), world.logger);
  auto draft = disk.begin();
  Files small{2 * MIB, MIB};
  small.into(*draft);
  double base = residentBytes();
  Files files{LARGE, LARGE};
  auto root = files.into(*draft);
  NoOutput out;
  world.write(*draft, root, out);
  NoSink sink;
  world.readTree(*draft, root, sink);
  KJ_ASSERT(sink.watch.bytes == LARGE && out.watch.bytes > LARGE);
  auto add = [&](kj::StringPtr name, double peak) {
    report.add({kj::str(name), Unit::BYTES, kj::max(0.0, peak - base), nullptr,
                {Target::Of::MOST, 64.0 * MIB}});
  };
  add("memory of importing 1 GiB, above the base", files.watch.peak);
  add("memory of exporting 1 GiB as a CAR file, above the base", out.watch.peak);
  add("memory of reading 1 GiB of files, above the base", sink.watch.peak);
}

}  // namespace

void benchImages(Report& report) {
  benchMemory(report);  // while this process has touched little
  benchSpeeds(report);
  benchTrees(report);
}

}  // namespace ww::bench
