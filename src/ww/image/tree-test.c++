#include <ww/image/tree.h>

#include <kj/test.h>
#include <ww/image/dag-fixture-test.h>

namespace ww {
namespace {

KJ_TEST("a tree is walked depth first, by the bytes of its names") {
  DagWorld t;
  auto a = t.raw("a"), empty = t.raw("");
  auto inner = t.directory({{"z", a}, {"A", empty}});
  auto none = t.directory({});
  auto root = t.directory({{"main.wasm", a}, {"lib", inner}, {"etc", none}, {"é", a}});
  KJ_EXPECT(t.read(root) == "etc/\nlib/\nlib/A=\nlib/z=a\nmain.wasm=a\né=a");
  KJ_EXPECT(t.read(none) == "");
}

KJ_TEST("a file is read whatever its shape") {
  DagWorld t;
  auto a = t.raw("aaa"), b = t.raw("bb");
  auto inlined = t.file({}, 5, "whole");
  auto unixfsLeaf = t.put({ .kind = ffi::NodeKind::RAW, .data = "leaf"_bytes,
                            .fileSize = uint64_t(4) });
  auto flat = t.file({{a, 3}, {b, 2}}, 5);
  auto uneven = t.file({{flat, 5}, {unixfsLeaf, 4}, {b, 2}}, 11);
  auto mixed = t.file({{a, 3}}, 6, "in-");  // bytes of its own, then its parts'
  auto sizeless = t.file({{uneven, 11}, {a, 3}});
  auto executable = t.put({ .kind = ffi::NodeKind::FILE, .data = "x"_bytes, .mode = 0755u });
  auto root = t.directory({{"1", inlined}, {"2", unixfsLeaf}, {"3", flat}, {"4", uneven},
                           {"5", mixed}, {"6", sizeless}, {"7", executable}});
  KJ_EXPECT(t.read(root) == "1=whole\n2=leaf\n3=aaabb\n4=aaabbleafbb\n5=in-aaa\n"
                            "6=aaabbleafbbaaa\n7*=x", t.read(root));
}

KJ_TEST("version 0 and identities lead on like any other") {
  DagWorld t;
  auto leaf = ffi::encodeNode({ .kind = ffi::NodeKind::FILE, .data = "old"_bytes,
                                .fileSize = uint64_t(3) });
  auto v1 = Cid::of(Cid::DAG_PB, leaf);
  auto v0 = Cid::fromBytes(v1.getBytes().slice(2, v1.getBytes().size()));
  t.store.put(v0, leaf);
  kj::byte identity[] = { 1, 0x55, 0, 2, 'h', 'i' };
  auto root = t.directory({{"old", v0}, {"own", Cid::fromBytes(identity)}});
  KJ_EXPECT(t.read(root) == "old=old\nown=hi");
  KJ_EXPECT(v0.toText().startsWith("Qm"));
}

KJ_TEST("paths lead through directories, and to what is there only") {
  DagWorld t;
  auto a = t.raw("a");
  auto inner = t.directory({{"a", a}});
  auto root = t.directory({{"lib", inner}});
  KJ_EXPECT(t.resolve(root, "") == root.toText());
  KJ_EXPECT(t.resolve(root, "lib") == inner.toText());
  KJ_EXPECT(t.resolve(root, "lib/a") == a.toText());
  KJ_EXPECT_THROW_MESSAGE("'lib/b' is not there", t.resolve(root, "lib/b"));
  KJ_EXPECT_THROW_MESSAGE(kj::str("is not there, below /ipfs/", root.toText()),
                          t.resolve(root, "lib/b"));
  KJ_EXPECT_THROW_MESSAGE("'Lib' is not there", t.resolve(root, "Lib"));
  KJ_EXPECT_THROW_MESSAGE("'lib/a' is a file", t.resolve(root, "lib/a/b"));
  KJ_EXPECT_THROW_MESSAGE("leads elsewhere", t.resolve(root, "lib/../lib"));
  KJ_EXPECT_THROW_MESSAGE("a name that is empty", t.resolve(root, "lib//a"));
}

KJ_TEST("what is no directory is no image") {
  DagWorld t;
  auto raw = t.raw("a"), file = t.file({}, 1, "a");
  KJ_EXPECT_THROW_MESSAGE("is a file; an image is a directory", t.read(raw));
  KJ_EXPECT_THROW_MESSAGE("is a file; an image is a directory", t.read(file));
  auto cbor = t.put(0x71, "\xa0"_bytes);
  KJ_EXPECT_THROW_MESSAGE("codec 0x71", t.read(cbor));
  KJ_EXPECT_THROW_MESSAGE("'x' is in a block of codec 0x71", t.read(t.directory({{"x", cbor}})));
  auto junk = t.put(Cid::DAG_PB, "\xff\xff"_bytes);
  KJ_EXPECT_THROW_MESSAGE(junk.toText(), t.read(junk));
  KJ_EXPECT_THROW_MESSAGE("'x': block", t.read(t.directory({{"x", junk}})));
}

KJ_TEST("links and metadata are refused by their path") {
  DagWorld t;
  auto link = t.put({ .kind = ffi::NodeKind::SYMLINK, .data = "/etc/passwd"_bytes });
  auto inner = t.directory({{"l", link}});
  KJ_EXPECT_THROW_MESSAGE("'d/l' is a symbolic link", t.read(t.directory({{"d", inner}})));
  auto metadata = t.put({ .kind = ffi::NodeKind::METADATA });
  KJ_EXPECT_THROW_MESSAGE("'m' is metadata", t.read(t.directory({{"m", metadata}})));
  auto file = t.file({{inner, 1}}, 1);
  KJ_EXPECT_THROW_MESSAGE("'f' has a directory as a part of a file",
                          t.read(t.directory({{"f", file}})));
}

KJ_TEST("names that lead elsewhere, or are too much alike, are refused") {
  DagWorld t;
  auto a = t.raw("a");
  auto refused = [&](kj::StringPtr name) { return t.directory({{name, a}, {"other", a}}); };
  KJ_EXPECT_THROW_MESSAGE("with / in it", t.read(refused("a/b")));
  KJ_EXPECT_THROW_MESSAGE("with / in it", t.read(refused("/etc")));
  KJ_EXPECT_THROW_MESSAGE("leads elsewhere", t.read(refused("..")));
  KJ_EXPECT_THROW_MESSAGE("leads elsewhere", t.read(refused(".")));
  KJ_EXPECT_THROW_MESSAGE("empty", t.read(refused("")));
  KJ_EXPECT_THROW_MESSAGE("NUL", t.read(refused(kj::StringPtr("a\0b", 3))));
  KJ_EXPECT_THROW_MESSAGE("case alone", t.read(refused("OTHER")));
  KJ_EXPECT_THROW_MESSAGE("'other' twice", t.read(refused("other")));
  // A link whose name is the byte 0xff, by hand: our own encoder writes none.
  kj::byte raw[] = { 0x12, 9, 0x0a, 4, 1, 0x55, 0, 0, 0x12, 1, 0xff, 0x0a, 2, 8, 1 };
  KJ_EXPECT_THROW_MESSAGE("not UTF-8", t.read(t.put(Cid::DAG_PB, raw)));
}

KJ_TEST("a file has the size that it says, in each part") {
  DagWorld t;
  auto a = t.raw("aaa");
  auto in = [&](const Cid& file) { return t.directory({{"f", file}}); };
  KJ_EXPECT_THROW_MESSAGE("of 3 bytes, where 4 are said", t.read(in(t.file({{a, 4}}, 4))));
  KJ_EXPECT_THROW_MESSAGE("says it is of 9 bytes", t.read(in(t.file({{a, 3}}, 9))));
  auto inner = t.file({{a, 3}, {a, 3}}, 6);
  KJ_EXPECT_THROW_MESSAGE("of 6 bytes, where 3 are said", t.read(in(t.file({{inner, 3}}, 3))));
  ffi::Link links[] = { { nullptr, a.getBytes(), 3 } };
  auto unsized_ = t.put({ .kind = ffi::NodeKind::FILE, .links = links });
  KJ_EXPECT_THROW_MESSAGE("1 links and the sizes of 0", t.read(in(unsized_)));
}

KJ_TEST("a missing block is named, with the file that it is of") {
  DagWorld t;
  auto a = t.raw("aaa");
  auto root = t.directory({{"f", t.file({{a, 3}}, 3)}});
  t.store.remove(a);
  KJ_EXPECT_THROW_MESSAGE(a.toText(), t.read(root));
  KJ_EXPECT_THROW_MESSAGE("'f': block", t.read(root));
}

KJ_TEST("files that grow a million-fold are refused before they are read") {
  DagWorld t;
  auto block = noise(1 << 20);
  auto leaf = t.put(Cid::RAW, block);
  auto file = leaf.clone();
  uint64_t size = block.size();
  for (int i = 0; i < 20; i++) {
    file = t.file({{file, size}, {file, size}}, size * 2);
    size *= 2;
  }
  auto root = t.directory({{"bomb", file}});
  KJ_EXPECT_THROW_MESSAGE("'bomb' has 1099511627776 bytes", t.read(root));
  // The same, hidden beneath a small size, is found where the sizes part.
  auto hidden = t.directory({{"bomb", t.file({{file, 1}}, 1)}});
  KJ_EXPECT_THROW_MESSAGE("where 1 are said to be", t.read(hidden));
  // Of nothing, a million times.
  auto nothing = t.raw("");
  for (int i = 0; i < 20; i++) nothing = t.file({{nothing, 0}, {nothing, 0}});
  t.limits.blocks = 1000;
  KJ_EXPECT_THROW_MESSAGE("beyond 1000 blocks", t.read(t.directory({{"zero", nothing}})));
  auto endless = t.file({{leaf, uint64_t(1) << 63}, {leaf, uint64_t(1) << 63}, {leaf, 9}});
  KJ_EXPECT_THROW_MESSAGE("bytes", t.read(t.directory({{"overflow", endless}})));
}

KJ_TEST("blocks of nothing are read no more often than an image may cost") {
  DagWorld t;
  // A file of no bytes, padded by a field of UnixFS that nobody knows: what each visit costs.
  auto padding = noise(1000);
  kj::Vector<kj::byte> unixfs, block;
  unixfs.addAll("\x08\x02\x7a\xe8\x07"_bytes);  // a file; field 15, of 1000 bytes
  unixfs.addAll(padding);
  block.addAll("\x0a\xed\x07"_bytes);  // the message, of 1005 bytes
  block.addAll(unixfs);
  auto padded = t.put(Cid::DAG_PB, block);
  auto root = t.directory({{"f", t.file({{padded, 0}, {padded, 0}, {padded, 0}})}});
  KJ_EXPECT(t.read(root) == "f=");
  t.limits.blockBytes = 3000;
  KJ_EXPECT_THROW_MESSAGE("'f' is beyond 3000 bytes of blocks", t.read(root));
}

KJ_TEST("names that multiply are bounded") {
  DagWorld t;
  // A path of some four thousand bytes, to a directory that is there 16 times over, of files that
  // their content ids hold: a few blocks, and a million paths.
  kj::byte empty[] = { 1, 0x55, 0, 0 };
  kj::Vector<ffi::Link> links;
  auto names = KJ_MAP(i, kj::range(0, 1 << 16)) { return kj::str("f", i); };
  for (auto& name: names) links.add(ffi::Link { name.asArray(), empty, 0 });
  auto many = t.put({ .kind = ffi::NodeKind::DIRECTORY, .links = links });
  auto below = KJ_MAP(i, kj::range(0, 16)) { return kj::str(i); };
  links.clear();
  for (auto& name: below) links.add(ffi::Link { name.asArray(), many.getBytes(), 1 });
  auto dir = t.put({ .kind = ffi::NodeKind::DIRECTORY, .links = links });
  auto name = kj::heapString(255);
  memset(name.begin(), 'n', name.size());
  for (int i = 0; i < 15; i++) dir = t.directory({{name, dir}});
  struct Counting final: public TreeSink {
    void directory(kj::StringPtr path) override { bytes += path.size(); }
    void beginFile(kj::StringPtr path, bool) override { bytes += path.size(); }
    void piece(kj::ArrayPtr<const kj::byte>) override {}
    void endFile() override {}
    uint64_t bytes = 0;
  } sink;
  KJ_EXPECT_THROW_MESSAGE("bytes of paths, which is what all those of an image may have",
                          readTree(t.blocks, dir, t.limits, sink).wait(t.waitScope));
  KJ_EXPECT(sink.bytes <= t.limits.allPathBytes, sink.bytes);
}

KJ_TEST("directories that grow a million-fold are refused") {
  DagWorld t;
  auto dir = t.directory({{"f", t.raw("x")}});
  for (int i = 0; i < 20; i++) dir = t.directory({{"a", dir}, {"b", dir}});
  t.limits.entries = 10000;
  KJ_EXPECT_THROW_MESSAGE("beyond 10000 files and directories", t.read(dir));
  t.limits.entries = 1 << 20;
  t.limits.blocks = 5000;
  KJ_EXPECT_THROW_MESSAGE("beyond 5000 blocks", t.read(dir));
}

KJ_TEST("depth ends, also where a damaged store has a block that links to itself") {
  DagWorld t;
  // What no hash allows: a block under the content id that it links to.
  auto self = Cid::of(Cid::DAG_PB, "self"_bytes);
  ffi::Link link { "again"_kj.asArray(), self.getBytes(), 1 };
  t.store.put(self, ffi::encodeNode({ .kind = ffi::NodeKind::DIRECTORY,
                                      .links = kj::arrayPtr(&link, 1) }));
  KJ_EXPECT_THROW_MESSAGE("is deeper than 64", t.read(self));
  auto file = Cid::of(Cid::DAG_PB, "file"_bytes);
  ffi::Link part { nullptr, file.getBytes(), 1 };
  uint64_t size = 0;
  t.store.put(file, ffi::encodeNode({ .kind = ffi::NodeKind::FILE,
                                      .blockSizes = kj::arrayPtr(&size, 1),
                                      .links = kj::arrayPtr(&part, 1) }));
  KJ_EXPECT_THROW_MESSAGE("'f' has blocks 65 deep", t.read(t.directory({{"f", file}})));
  t.limits.depth = 3;
  auto dir = t.directory({});
  for (int i = 0; i < 3; i++) dir = t.directory({{"d", dir}});
  KJ_EXPECT(t.read(dir) == "d/\nd/d/\nd/d/d/");
  KJ_EXPECT_THROW_MESSAGE("is deeper than 3", t.read(t.directory({{"d", dir}})));
}

KJ_TEST("paths, and the memory that leads to a file, are bounded") {
  DagWorld t;
  auto name = kj::heapString(200);
  memset(name.begin(), 'n', name.size());
  auto dir = t.directory({});
  for (int i = 0; i < 21; i++) dir = t.directory({{name, dir}});
  KJ_EXPECT_THROW_MESSAGE("a path of more than 4096 bytes", t.read(dir));
  t.limits.heldBytes = 2000;
  KJ_EXPECT_THROW_MESSAGE("more than 2000 bytes of memory", t.read(dir));
}

// Gives blocks only when it is told to.
class SlowSource final: public BlockSource {
 public:
  explicit SlowSource(BlockStore& from): from(from) {}
  kj::StringPtr getName() const override { return "slow"_kj; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) override {
    auto pair = kj::newPromiseAndFulfiller<void>();
    waiting.add(kj::mv(pair.fulfiller));
    most = kj::max(most, waiting.size());
    auto block = KJ_ASSERT_NONNULL(from.find(cid));
    co_await pair.promise;
    co_return kj::mv(block);
  }
  void answer() {
    for (auto& fulfiller: waiting) fulfiller->fulfill();
    waiting.clear();
  }
  size_t most = 0;
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> waiting;

 private:
  BlockStore& from;
};

KJ_TEST("parts of a file are asked for ahead, a few at a time, and given in their order") {
  DagWorld t;
  MemoryBlockStore far;
  Importer importer(far, { .chunkBytes = 10, .fileLinks = 5 });
  importer.beginFile("f", false);
  auto bytes = noise(333);
  importer.piece(bytes);
  importer.endFile();
  auto root = importer.finish();
  auto slow = kj::heap<SlowSource>(far);
  auto& source = *slow;
  kj::Own<BlockSource> sources[] = { kj::mv(slow) };
  BlockFetcher blocks(t.store, sources, t.logger);
  ListingSink sink;
  auto done = readTree(blocks, root, t.limits, sink).eagerlyEvaluate(nullptr);
  for (int rounds = 0; !done.poll(t.waitScope); rounds++) {
    KJ_ASSERT(rounds < 50 && !source.waiting.empty());
    source.answer();
  }
  done.wait(t.waitScope);
  KJ_EXPECT(source.most == 5, source.most);  // all that a node has; never more than some
  KJ_EXPECT(sink.text() == kj::str("f=333 bytes, ", Cid::of(Cid::RAW, bytes).toText()));
}

KJ_TEST("a long walk lets others of its loop be served meanwhile") {
  DagWorld t;
  Importer importer(t.store, { .chunkBytes = 10 });
  importer.beginFile("f", false);
  importer.piece(noise(10000));
  importer.endFile();
  auto root = importer.finish();
  // What comes to the loop from outside, each time that it looks.
  kj::uint looks = 0;
  kj::Function<kj::Promise<void>()> look = [&]() -> kj::Promise<void> {
    return kj::getCurrentThreadExecutor().executeAsync([&]() { ++looks; }).then(
        [&]() { return look(); });
  };
  auto looking = look().eagerlyEvaluate(nullptr);
  ListingSink sink;
  readTree(t.blocks, root, t.limits, sink).wait(t.waitScope);
  KJ_EXPECT(sink.count() == 1);
  KJ_EXPECT(looks >= 1000 / 4 / 2, looks);
}

KJ_TEST("a walk that nobody waits for any more stops asking") {
  DagWorld t;
  MemoryBlockStore far;
  Importer importer(far, { .chunkBytes = 10 });
  importer.beginFile("f", false);
  importer.piece(noise(1000));
  importer.endFile();
  auto root = importer.finish();
  auto slow = kj::heap<SlowSource>(far);
  auto& source = *slow;
  kj::Own<BlockSource> sources[] = { kj::mv(slow) };
  BlockFetcher blocks(t.store, sources, t.logger);
  ListingSink sink;
  {
    auto done = readTree(blocks, root, t.limits, sink).eagerlyEvaluate(nullptr);
    for (int i = 0; i < 3; i++) {
      KJ_EXPECT(!done.poll(t.waitScope));
      source.answer();
    }
    KJ_EXPECT(!done.poll(t.waitScope));
    KJ_EXPECT(source.most == 8, source.most);
  }
  for (auto& fulfiller: source.waiting) KJ_EXPECT(!fulfiller->isWaiting());
}

}  // namespace
}  // namespace ww
