#include <ww/image/car-reader.h>
#include <ww/image/car-writer.h>

#include <kj/test.h>
#include <ww/image/dag-fixture-test.h>
#include <ww/image/file-stream.h>

namespace ww {
namespace {

// Hands bytes out a few at a time.
class Trickle final: public kj::AsyncInputStream {
 public:
  Trickle(kj::ArrayPtr<const kj::byte> bytes, size_t step): rest(bytes), step(step) {}
  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    auto size = kj::min(rest.size(), kj::min(maxBytes, kj::max(minBytes, step)));
    if (size > 0) memcpy(buffer, rest.begin(), size);
    rest = rest.slice(size, rest.size());
    return size;
  }

 private:
  kj::ArrayPtr<const kj::byte> rest;
  size_t step;
};

struct CarWorld: DagWorld {
  CarLimits carLimits;
  MemoryBlockStore into;

  Cid tree() {
    Importer importer(store, { .chunkBytes = 1000, .fileLinks = 3, .directoryBytes = 300 });
    auto add = [&](kj::StringPtr path, kj::ArrayPtr<const kj::byte> bytes) {
      importer.beginFile(path, false);
      importer.piece(bytes);
      importer.endFile();
    };
    add("main.wasm", noise(12345));
    importer.directory("lib");
    for (int i = 0; i < 20; i++) add(kj::str("lib/", i), "same"_bytes);
    return importer.finish();
  }
  kj::Array<kj::byte> write(const Cid& root) {
    kj::VectorOutputStream out;
    SyncOutput stream(out);
    written = writeCar(blocks, root, limits, stream).wait(waitScope);
    return kj::heapArray(out.getArray());
  }
  CarSummary readInto(kj::ArrayPtr<const kj::byte> car, size_t step = 1 << 20) {
    Trickle in(car, step);
    return readCar(in, "app.car", carLimits, into).wait(waitScope);
  }
  kj::String treeOf(const Cid& root) {
    BlockFetcher read(into, nullptr, logger);
    ListingSink sink;
    readTree(read, root, limits, sink).wait(waitScope);
    return sink.text();
  }
  CarWritten written;
};

kj::Array<kj::byte> cat(std::initializer_list<kj::ArrayPtr<const kj::byte>> parts) {
  kj::Vector<kj::byte> all;
  for (auto part: parts) all.addAll(part);
  return all.releaseAsArray();
}

// One of version 1, in one of version 2, with padding before and an index behind.
kj::Array<kj::byte> second(kj::ArrayPtr<const kj::byte> first, size_t padding = 7) {
  kj::byte header[51] = { 10, 0xa1, 0x67, 'v', 'e', 'r', 's', 'i', 'o', 'n', 2 };
  auto put = [&](size_t at, uint64_t value) {
    for (int i = 0; i < 8; i++) header[at + i] = kj::byte(value >> (8 * i));
  };
  put(27, 51 + padding);
  put(35, first.size());
  put(43, 51 + padding + first.size());
  return cat({header, kj::heapArray<kj::byte>(padding), first, "an index, or not"_bytes});
}

KJ_TEST("a DAG is written and read back, each block once, its root first") {
  CarWorld t;
  auto root = t.tree();
  auto car = t.write(root);
  KJ_EXPECT(t.written.bytes == car.size());
  KJ_EXPECT(t.written.blocks == t.store.getCount());
  KJ_EXPECT(t.write(root) == car);  // to the byte
  for (size_t step: {1, 7, 1000, 1 << 20}) {
    auto summary = t.readInto(car, step);
    KJ_ASSERT(summary.roots.size() == 1);
    KJ_EXPECT(summary.roots[0] == root);
    KJ_EXPECT(summary.blocks == t.written.blocks);
    KJ_EXPECT(t.into.getCount() == t.store.getCount());
    KJ_EXPECT(t.treeOf(root) == t.read(root));
  }
  // From what was read, the same file.
  BlockFetcher again(t.into, nullptr, t.logger);
  kj::VectorOutputStream out;
  SyncOutput stream(out);
  writeCar(again, root, t.limits, stream).wait(t.waitScope);
  KJ_EXPECT(out.getArray() == car);
}

KJ_TEST("the second version holds one of the first; its index is not believed") {
  CarWorld t;
  auto root = t.tree();
  auto car = t.write(root);
  for (size_t padding: {0, 7, 100000}) {
    auto summary = t.readInto(second(car, padding), 1000);
    KJ_EXPECT(summary.roots[0] == root);
    KJ_EXPECT(summary.blocks == t.written.blocks);
  }
  KJ_EXPECT(t.treeOf(root) == t.read(root));
  KJ_EXPECT_THROW_MESSAGE("another version than 1 in it", t.readInto(second(second(car))));
  auto bad = second(car);
  bad[35] -= 1;  // one byte fewer than there are
  KJ_EXPECT_THROW_MESSAGE("goes on where its blocks should end", t.readInto(bad));
  bad = second(car);
  bad[27] = 5;   // in its own header
  KJ_EXPECT_THROW_MESSAGE("has its blocks from byte 5 on", t.readInto(bad));
  bad[34] = bad[42] = 0xff;
  KJ_EXPECT_THROW_MESSAGE("has its blocks from byte", t.readInto(bad));
  KJ_EXPECT_THROW_MESSAGE("is cut short", t.readInto(second(car).slice(0, 40)));
}

KJ_TEST("what is cut short anywhere is refused, and what came before it is kept") {
  CarWorld t;
  auto root = t.tree();
  auto car = t.write(root);
  size_t whole = 0;
  for (size_t size = 0; size < car.size(); size++) {
    bool isWhole = true;
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { t.readInto(car.slice(0, size)); })) {
      isWhole = false;
      bool isNamed = has(e->getDescription(), "app.car ") && has(e->getDescription(), "at byte");
      KJ_EXPECT(isNamed, e->getDescription());
    }
    whole += isWhole;
  }
  // Between two blocks it is a shorter file, whose tree lacks something.
  KJ_EXPECT(whole == t.written.blocks);
  t.into.remove(root);
  t.readInto(car.slice(0, 59));
  KJ_EXPECT_THROW_MESSAGE("cannot be had", t.treeOf(root));
}

KJ_TEST("other bytes under a right content id are refused, by its name") {
  CarWorld t;
  auto root = t.put(Cid::RAW, "block"_bytes);
  auto car = t.write(root);
  car.back() ^= 1;
  auto why = kj::str("app.car has other bytes under ", root.toText());
  KJ_EXPECT_THROW_MESSAGE(why, t.readInto(car));
  KJ_EXPECT(t.into.getCount() == 0);
}

KJ_TEST("sections of nothing, of too much, or under no content id are refused") {
  CarWorld t;
  auto car = t.write(t.put(Cid::RAW, "x"_bytes));
  auto header = car.slice(0, 59);
  auto refused = [&](kj::ArrayPtr<const kj::byte> section) { t.readInto(cat({header, section})); };
  KJ_EXPECT(t.readInto(header).blocks == 0);
  KJ_EXPECT_THROW_MESSAGE("a block of nothing", refused("\0"_bytes));
  kj::byte huge[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f };
  KJ_EXPECT_THROW_MESSAGE("2097152 is the most", refused(huge));
  kj::byte endless[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 };
  KJ_EXPECT_THROW_MESSAGE("a length without an end", refused(endless));
  KJ_EXPECT_THROW_MESSAGE("not written as it should be", refused("\x81\0"_bytes));
  KJ_EXPECT_THROW_MESSAGE("under no content id", refused("\3abc"_bytes));
  kj::byte gigabyte[] = { 9, 1, 0x55, 0, 0x80, 0x80, 0x80, 0x80, 4, 'x' };
  KJ_EXPECT_THROW_MESSAGE("under no content id", refused(gigabyte));
  kj::byte otherHash[] = { 5, 1, 0x55, 0x13, 1, 7 };
  KJ_EXPECT_THROW_MESSAGE("0x13 is not known here", refused(otherHash));
  t.carLimits.blocks = 2;
  kj::byte own[] = { 5, 1, 0x55, 0, 0, 0 };
  KJ_EXPECT_THROW_MESSAGE("other bytes under", refused(own));
  kj::byte identity[] = { 4, 1, 0x55, 0, 0, 4, 1, 0x55, 0, 0, 4, 1, 0x55, 0, 0 };
  KJ_EXPECT_THROW_MESSAGE("more than 2 blocks", refused(identity));
}

KJ_TEST("what is no CAR file is said to be none") {
  CarWorld t;
  KJ_EXPECT_THROW_MESSAGE("app.car ends where a CAR file would begin", t.readInto(nullptr));
  KJ_EXPECT_THROW_MESSAGE("app.car is no CAR file", t.readInto("<!doctype html><title>"_bytes));
  KJ_EXPECT_THROW_MESSAGE("app.car is no CAR file", t.readInto("\0asm\1\0\0\0"_bytes));
  KJ_EXPECT_THROW_MESSAGE("would have 1073741824 bytes", t.readInto("\x80\x80\x80\x80\4..."_bytes));
  t.carLimits.bytes = 1000;
  KJ_EXPECT_THROW_MESSAGE("more than 1000 bytes", t.readInto(t.write(t.tree())));
}

KJ_TEST("blocks that nobody can follow are not written; what is missing is said") {
  CarWorld t;
  auto cbor = t.put(0x71, "\xa0"_bytes);
  KJ_EXPECT_THROW_MESSAGE("codec 0x71", t.write(cbor));
  auto a = t.raw("a");
  auto root = t.directory({{"a", a}});
  t.store.remove(a);
  KJ_EXPECT_THROW_MESSAGE(a.toText(), t.write(root));
}

KJ_TEST("as many blocks are written as are remembered; the links that wait are bounded") {
  CarWorld t;
  auto file = [&](size_t bytes) {
    Importer importer(t.store, { .chunkBytes = 10, .fileLinks = 3 });
    importer.beginFile("f", false);
    importer.piece(noise(bytes));
    importer.endFile();
    return importer.finish();
  };
  t.limits.heldBytes = 100 * CAR_WRITTEN_BYTES;
  t.write(file(600));
  KJ_EXPECT(t.written.blocks > 80 && t.written.blocks <= 100, t.written.blocks);
  KJ_EXPECT_THROW_MESSAGE("the image has more than 100 blocks, which is the most that a CAR file",
                          t.write(file(1000)));
  t.limits.heldBytes = 1000;
  KJ_EXPECT_THROW_MESSAGE("1000 bytes of memory", t.write(t.tree()));
}

KJ_TEST("a block that its content id holds is no other that ends alike") {
  CarWorld t;
  // Two directories that are identities, alike from their one entry's name to their ends.
  auto a = t.raw("a"), b = t.raw("b");
  auto hold = [&](const Cid& leaf) {
    ffi::Link link { "a name of more than thirty-two bytes"_kj.asArray(), leaf.getBytes(), 1 };
    auto block = ffi::encodeNode({ .kind = ffi::NodeKind::DIRECTORY,
                                   .links = kj::arrayPtr(&link, 1) });
    kj::byte start[] = { 1, 0x70, 0, kj::byte(block.size()) };
    return cat({start, block});
  };
  // Their directory by hand: our own encoder makes no links to such.
  auto linkTo = [&](kj::ArrayPtr<const kj::byte> cid, kj::byte name) {
    kj::byte size = cid.size();
    kj::byte start[] = { 0x12, kj::byte(size + 5), 0x0a, size }, end[] = { 0x12, 1, name };
    return cat({start, cid, end});
  };
  auto root = t.put(Cid::DAG_PB, cat({linkTo(hold(a), 'a'), linkTo(hold(b), 'b'),
                                      "\x0a\x02\x08\x01"_bytes}));
  t.readInto(t.write(root));
  KJ_EXPECT(t.treeOf(root) == t.read(root));
}

KJ_TEST("identities are in their content ids, and not written beside") {
  CarWorld t;
  kj::byte identity[] = { 1, 0x55, 0, 2, 'h', 'i' };
  auto root = t.directory({{"own", Cid::fromBytes(identity)}});
  auto car = t.write(root);
  KJ_EXPECT(t.written.blocks == 1);
  t.readInto(car);
  KJ_EXPECT(t.treeOf(root) == "own=hi");
}

KJ_TEST("a file is read as a stream") {
  CarWorld t;
  auto root = t.tree();
  auto file = kj::newInMemoryFile(kj::nullClock());
  file->writeAll(t.write(root));
  FileInput in(file->clone());
  KJ_EXPECT(readCar(in, "app.car", t.carLimits, t.into).wait(t.waitScope).roots[0] == root);
  KJ_EXPECT(t.treeOf(root) == t.read(root));
}

}  // namespace
}  // namespace ww
