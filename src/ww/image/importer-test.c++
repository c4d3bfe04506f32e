#include <ww/image/importer.h>

#include <kj/test.h>
#include <ww/image/dag-fixture-test.h>

namespace ww {
namespace {

void add(Importer& importer, kj::StringPtr path, kj::ArrayPtr<const kj::byte> bytes) {
  importer.beginFile(path, false);
  importer.piece(bytes);
  importer.endFile();
}

// The content id of one file.
kj::String fileCid(size_t size, ImportShape shape = {}) {
  DagWorld t;
  Importer importer(t.store, shape);
  auto bytes = noise(size);
  add(importer, "f", bytes);
  auto root = importer.finish();
  ListingSink sink;
  readTree(t.blocks, root, t.limits, sink).wait(t.waitScope);
  if (size > 64) {
    KJ_EXPECT(sink.text() == kj::str("f=", size, " bytes, ", Cid::of(Cid::RAW, bytes).toText()));
  }
  return t.resolve(root, "f");
}

KJ_TEST("known trees have the content ids that other programs give them") {
  DagWorld t;
  KJ_EXPECT(Importer(t.store).finish().toText() ==
            "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354");
  Importer importer(t.store);
  add(importer, "empty", nullptr);
  auto root = importer.finish();
  KJ_EXPECT(t.resolve(root, "empty") ==
            "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
}

KJ_TEST("what was imported is read back, whatever pieces it came in") {
  for (size_t size: {0, 1, 9, 10, 11, 20, 49, 50, 51, 249, 250, 251, 1260}) {
    DagWorld t;
    auto bytes = noise(size);
    ImportShape shape { .chunkBytes = 10, .fileLinks = 5 };
    kj::Maybe<Cid> first;
    for (size_t step: {1, 3, 10, 25, 2000}) {
      Importer importer(t.store, shape);
      importer.beginFile("f", true);
      for (size_t at = 0; at < size; at += step) {
        importer.piece(bytes.slice(at, kj::min(at + step, size)));
      }
      importer.endFile();
      auto root = importer.finish();
      ListingSink sink;
      readTree(t.blocks, root, t.limits, sink).wait(t.waitScope);
      auto expected = size <= 64 ? kj::str("f=", bytes.asChars())
          : kj::str("f=", size, " bytes, ", Cid::of(Cid::RAW, bytes).toText());
      KJ_EXPECT(sink.text() == expected, size, step);
      KJ_EXPECT(sink.largestPiece() <= 10);
      KJ_IF_MAYBE(other, first) {
        KJ_EXPECT(root == *other, size, step);
      } else {
        first = kj::mv(root);
      }
    }
  }
}

KJ_TEST("a file is one raw block until it is larger than that") {
  KJ_EXPECT(fileCid(1 << 20).startsWith("bafkrei"));
  KJ_EXPECT(fileCid((1 << 20) + 1).startsWith("bafybei"));
}

KJ_TEST("directories are entered and left as their paths say, in any order within") {
  DagWorld t;
  Importer importer(t.store);
  add(importer, "main.wasm", "m"_bytes);
  importer.directory("lib");
  importer.directory("lib/inner");
  add(importer, "lib/inner/x", "x"_bytes);
  add(importer, "lib/a", "a"_bytes);
  importer.directory("etc");
  add(importer, "B", "b"_bytes);
  auto root = importer.finish();
  KJ_EXPECT(t.read(root) == "B=b\netc/\nlib/\nlib/a=a\nlib/inner/\nlib/inner/x=x\nmain.wasm=m");
  // In another order it is the same tree.
  Importer again(t.store);
  again.directory("etc");
  add(again, "B", "b"_bytes);
  again.directory("lib");
  add(again, "lib/a", "a"_bytes);
  again.directory("lib/inner");
  add(again, "lib/inner/x", "x"_bytes);
  add(again, "main.wasm", "m"_bytes);
  KJ_EXPECT(again.finish() == root);
}

KJ_TEST("a directory is sharded where its block would be too large, and read back") {
  for (kj::uint count: {1, 3, 4, 5, 300, 3000}) {
    DagWorld t;
    Importer importer(t.store, { .directoryBytes = 200 });
    importer.directory("d");
    for (kj::uint i = 0; i < count; i++) add(importer, kj::str("d/file ", i), "x"_bytes);
    auto root = importer.finish();
    ListingSink sink;
    readTree(t.blocks, root, t.limits, sink).wait(t.waitScope);
    KJ_EXPECT(sink.count() == count + 1, count);
    auto dir = resolvePath(t.blocks, root, "d").wait(t.waitScope);
    ffi::Node node(KJ_ASSERT_NONNULL(t.store.find(dir)));
    bool isSharded = node.getParts().kind == ffi::NodeKind::SHARD;
    KJ_EXPECT(isSharded == (count > 3), count);
    KJ_EXPECT(t.resolve(root, "d/file 0").startsWith("bafkrei"));
    KJ_EXPECT_THROW_MESSAGE("is not there", t.resolve(root, kj::str("d/file ", count)));
  }
}

KJ_TEST("what would be no image is refused when it is made") {
  auto refused = [](std::initializer_list<kj::StringPtr> paths) {
    MemoryBlockStore store;
    Importer importer(store);
    for (auto path: paths) {
      if (path.endsWith("/")) {
        importer.directory(kj::heapString(path.slice(0, path.size() - 1)));
      } else {
        add(importer, path, "x"_bytes);
      }
    }
    importer.finish();
  };
  KJ_EXPECT_THROW_MESSAGE("case alone", refused({"a", "A"}));
  KJ_EXPECT_THROW_MESSAGE("'a' twice", refused({"a", "a"}));
  KJ_EXPECT_THROW_MESSAGE("'d' twice", refused({"d/", "d/x", "e", "d/"}));
  KJ_EXPECT_THROW_MESSAGE("leads elsewhere", refused({".."}));
  KJ_EXPECT_THROW_MESSAGE("leads elsewhere", refused({"d/", "d/."}));
  KJ_EXPECT_THROW_MESSAGE("not UTF-8", refused({"\xff"}));
  KJ_EXPECT_THROW_MESSAGE("before or after the directory", refused({"d/x"}));
  KJ_EXPECT_THROW_MESSAGE("before or after the directory", refused({"d/", "e", "d/x"}));
  KJ_EXPECT_THROW_MESSAGE("empty", refused({""}));
}

}  // namespace
}  // namespace ww
