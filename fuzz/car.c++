// CAR files and the DAGs in them. What a file holds is taken as it should be, each block checked;
// and then again as a damaged store would have it, each block under the content id that stands
// before it, so that what is read of a DAG meets more than hashes let through.
#include <kj/async.h>
#include <kj/debug.h>
#include <kj/vector.h>
#include <ww/ffi/content.h>
#include <ww/image/car-reader.h>
#include <ww/image/car-writer.h>
#include <ww/image/file-stream.h>
#include <ww/image/tree.h>

namespace ww {
namespace {

constexpr uint64_t MOST_BYTES = 1 << 20;

const TreeLimits LIMITS { .bytes = MOST_BYTES, .entries = 500, .blocks = 2000, .depth = 20,
                          .heldBytes = 4 << 20, .pathBytes = 400 };

// What is put into it has the content id that it is put under.
class CheckedStore final: public BlockStore {
 public:
  kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) override { return inner.find(cid); }
  void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) override {
    KJ_ASSERT(cid.isOf(block) && block.size() <= MAX_BLOCK_BYTES);
    inner.put(cid, block);
  }

 private:
  MemoryBlockStore inner;
};

// What it is told is within the limits, and in order.
class CheckingSink final: public TreeSink {
 public:
  void directory(kj::StringPtr path) override { see(path); }
  void beginFile(kj::StringPtr path, bool) override {
    see(path);
    KJ_ASSERT(!inFile);
    inFile = true;
  }
  void piece(kj::ArrayPtr<const kj::byte> piece) override {
    KJ_ASSERT(inFile && (bytes += piece.size()) <= MOST_BYTES);
  }
  void endFile() override {
    KJ_ASSERT(inFile);
    inFile = false;
  }

 private:
  void see(kj::StringPtr path) {
    KJ_ASSERT(++entries <= LIMITS.entries && path.size() <= LIMITS.pathBytes);
    KJ_ASSERT(path != nullptr && !path.startsWith("/") && !path.endsWith("/"), path);
    for (kj::StringPtr rest = path; rest != nullptr;) {
      auto end = rest.findFirst('/').orDefault(rest.size());
      KJ_ASSERT(rest.slice(0, end) != ".."_kj.asArray(), path);
      rest = rest.slice(end < rest.size() ? end + 1 : end);
    }
  }

  bool inFile = false;
  uint64_t bytes = 0, entries = 0;
};

// Refusals are short, and none is an assertion of ours.
template <typename Body>
void refusable(Body&& body) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions(kj::fwd<Body>(body))) {
    KJ_ASSERT(e->getDescription().size() < 4000, *e);
    KJ_ASSERT(!e->getDescription().startsWith("expected "), "an assertion was reached", *e);
  }
}

// Each section's block under its content id, checked or not; the roots are the content ids.
void loadUnchecked(kj::ArrayPtr<const kj::byte> rest, MemoryBlockStore& store,
                   kj::Vector<Cid>& roots) {
  while (rest.size() > 1 && roots.size() < 20) {
    size_t size = rest[0] & 0x7f, taken = 1;
    if (rest[0] >= 0x80) {
      size |= size_t(rest[1] & 0x7f) << 7;
      taken = 2;
    }
    auto section = rest.slice(taken, kj::min(rest.size(), taken + size));
    rest = rest.slice(kj::min(rest.size(), taken + size), rest.size());
    refusable([&]() {
      auto cid = Cid::startOf(section);
      store.put(cid, section.slice(cid.getBytes().size(), section.size()));
      roots.add(kj::mv(cid));
    });
  }
}

// A node that was read is written, and is the same when it is read again.
void tryNode(kj::ArrayPtr<const kj::byte> block) {
  refusable([&]() {
    ffi::Node node(kj::heapArray<kj::byte>(block));
    auto written = ffi::encodeNode(node.getParts());
    ffi::Node again(kj::heapArray<kj::byte>(written));
    KJ_ASSERT(again.getParts().links.size() == node.getParts().links.size());
    KJ_ASSERT(ffi::encodeNode(again.getParts()) == written);
  });
}

void tryTrees(kj::WaitScope& waitScope, BlockStore& store, kj::ArrayPtr<const Cid> roots) {
  MemoryLogger logger;
  BlockFetcher blocks(store, nullptr, logger);
  for (auto& root: roots) {
    refusable([&]() {
      CheckingSink sink;
      readTree(blocks, root, LIMITS, sink).wait(waitScope);
    });
    refusable([&]() { resolvePath(blocks, root, "lib/x").wait(waitScope); });
    refusable([&]() {
      kj::VectorOutputStream out;
      SyncOutput stream(out);
      writeCar(blocks, root, LIMITS, stream).wait(waitScope);
    });
    KJ_IF_MAYBE(block, store.find(root)) tryNode(*block);
  }
}

void tryCar(kj::ArrayPtr<const kj::byte> input) {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  refusable([&]() {
    CheckedStore store;
    auto file = kj::newInMemoryFile(kj::nullClock());
    file->writeAll(input);
    FileInput in(kj::mv(file));
    auto summary = readCar(in, "input", {}, store).wait(waitScope);
    tryTrees(waitScope, store, summary.roots);
  });
  MemoryBlockStore store;
  kj::Vector<Cid> roots;
  loadUnchecked(input, store, roots);
  tryTrees(waitScope, store, roots);
}

}  // namespace
}  // namespace ww

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size <= 64 << 10) ww::tryCar(kj::arrayPtr(data, size));
  return 0;
}
