// A node's images: layers of every kind over each other, what a head may name, and what is kept.
#include <ww/node/node-images.h>

#include <fcntl.h>
#include <kj/test.h>
#include <string.h>
#include <sys/stat.h>
#include <ww/base/ed25519.h>
#include <ww/base/error.h>
#include <ww/image/refusal.h>
#include <ww/net/loopback-swarm.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

kj::Array<kj::String> strings(std::initializer_list<kj::StringPtr> texts) {
  auto result = kj::heapArrayBuilder<kj::String>(texts.size());
  for (auto text: texts) result.add(kj::str(text));
  return result.finish();
}

const kj::String COMPONENT = kj::heapString("\0asm\x0d\0\1\0", 8);

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  MemoryLogger logger;
  TempFolder folder;
  const kj::String store = folder.at("images");
  LoopbackNetwork network;
  LoopbackSwarm swarm{network, PeerId(SecretKey::generate().getPublicKey())};
  TreeFolder trees{folder.at("trees")};
  SourceOptions nobody;
  const uint64_t storeBytes;
  int met = 0;
  bool meetsNobody = false;  // and waits for that
  kj::PromiseFulfillerPair<void> asked = kj::newPromiseAndFulfiller<void>();
  NodeImages images{NodeImages::Parts{store, storeBytes, nobody, true, [this]() {
    ++met;
    asked.fulfiller->fulfill();
    return meetsNobody ? kj::Promise<void>(kj::NEVER_DONE) : kj::Promise<void>(kj::READY_NOW);
  }, DialScope::ANYWHERE, swarm, *io.provider, trees, logger}};

  // The same store, as another process has it.
  ImageStore other{store, storeBytes, kj::systemCoarseCalendarClock(), logger};

  explicit Fixture(uint64_t storeBytes = 1 << 30) : storeBytes(storeBytes) {}

  // A folder of the host as content, which is in the store.
  Cid add(kj::StringPtr path) {
    NullSink nowhere;
    ImageSources none(nobody, *io.provider);
    ImageImport import(other, none, kj::systemCoarseCalendarClock(), logger);
    return import.add(PathRef{folder.at(path)}, nowhere).wait(io.waitScope).root.clone();
  }
  kj::Own<MergedTree> merge(std::initializer_list<kj::StringPtr> layers) {
    return images.merge(strings(layers)).wait(io.waitScope);
  }
  EpochImage fetch(const Cid& head) { return images.fetch(head.getBytes()).wait(io.waitScope); }

  // Why there is no image, and whether that is for good.
  kj::String refusal(kj::ArrayPtr<const kj::byte> head) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { images.fetch(head).wait(io.waitScope); })) {
      return kj::str(isContentProblem(*e) ? "for good: " : "now: ", e->getDescription());
    }
    return kj::str("nothing went wrong");
  }
  // An image that could be run, with that much beside its component.
  Cid addImage(kj::StringPtr name, size_t size) {
    auto data = kj::heapString(size);
    uint32_t state = name[0];
    for (auto& c: data) c = char('a' + ((state = state * 1664525 + 1013904223) >> 24) % 26);
    folder.write(kj::str(name, "/main.wasm"), COMPONENT);
    folder.write(kj::str(name, "/data"), data);
    return add(name);
  }

  // With what fills so many blocks of their own, at the least.
  Cid addBlocks(kj::StringPtr name, size_t count) { return addImage(name, (count - 1) << 20 | 1); }

  void change(kj::StringPtr sql, const Cid& cid) {
    SqliteFile file(folder.at("images/blocks.db"));
    SqliteStatement statement(file, sql);
    statement.bind(1, cid.getBytes());
    statement.step();
  }
  // Its blocks are in the store, and no image's.
  void forget(const Cid& root) {
    change("DELETE FROM member WHERE image = (SELECT id FROM image WHERE cid = ?)", root);
    change("DELETE FROM image WHERE cid = ?", root);
  }
  // The first of a file's blocks is in the store, and wrong.
  void damage(kj::StringPtr path) {
    auto bytes = folder.read(path);
    change("UPDATE content SET bytes = x'00' WHERE block = (SELECT id FROM block WHERE cid = ?)",
           Cid::of(Cid::RAW, bytes.slice(0, 1 << 20).asBytes()));
  }
  uint64_t bytesOf(const Cid& cid) {
    return KJ_ASSERT_NONNULL(other.findImage(cid.toText())).bytes;
  }

  uint64_t steps = 0;
  kj::Promise<ImageKeeper::Kept> begin(const Cid& cid, kj::Function<void()> check = []() {}) {
    return images.keepImage(cid.clone(), ImageKeeper::Asker{nullptr, kj::mv(check),
                                                            [this]() { ++steps; }});
  }

  // Whether it is pinned, or why not.
  kj::String keep(const Cid& cid, kj::Function<void()> check = []() {}) {
    auto keeping = begin(cid, kj::mv(check));
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
      auto kept = keeping.wait(io.waitScope);
      auto image = KJ_ASSERT_NONNULL(other.findImage(cid.toText()));
      KJ_EXPECT(image.pinned && image.whole);
      KJ_EXPECT(kept.blocks == image.blocks && kept.bytes == image.bytes);
    })) {
      return kj::str(e->getDescription());
    }
    return kj::str("it is pinned");
  }
  // In the store's folder, with names that begin so.
  size_t files(kj::StringPtr prefix) {
    size_t count = 0;
    for (auto& name: folder.list("images")) count += name.startsWith(prefix);
    return count;
  }
  bool isPinned(const Cid& cid) {
    return KJ_ASSERT_NONNULL(other.findImage(cid.toText())).pinned;
  }

  bool isKept(const Cid& cid) { return KJ_ASSERT_NONNULL(other.findImage(cid.toText())).inUse; }
  kj::String read(const MergedTree& tree, kj::StringPtr path) {
    return folder.read(kj::str("trees/", tree.getName(), "/", path));
  }
};

KJ_TEST("content and folders lie over each other in the order in which they are given") {
  Fixture f;
  f.folder.write("base/main.wasm", "code");
  f.folder.write("base/etc/file", "of the base");
  f.folder.write("base/etc/gone", "hidden");
  f.folder.write("folder/etc/file", "of the folder");
  f.folder.write("folder/etc/.wh.gone", "");
  f.folder.write("top/etc/top", "of the top");
  auto base = f.add("base"), top = f.add("top");
  auto path = f.folder.at("folder");
  auto tree = f.merge({base.toText(), path, kj::str("/ipfs/", top.toText())});
  KJ_EXPECT(f.read(*tree, "main.wasm") == "code");
  KJ_EXPECT(f.read(*tree, "etc/file") == "of the folder");
  KJ_EXPECT(f.read(*tree, "etc/top") == "of the top");
  KJ_EXPECT(f.folder.list(kj::str("trees/", tree->getName(), "/etc")).size() == 2);
  auto other = f.merge({path, base.toText()});
  KJ_EXPECT(f.read(*other, "etc/file") == "of the base");
  KJ_EXPECT(f.read(*other, "etc/gone") == "hidden", "what is below hides nothing");
}

KJ_TEST("what is run is kept in the store, and what was is not") {
  Fixture f;
  f.folder.write("one/main.wasm", "one");
  f.folder.write("two/main.wasm", "two");
  auto one = f.add("one"), two = f.add("two");
  {
    auto first = f.fetch(one);
    KJ_EXPECT(first.wasm == "one"_kj.asBytes() && f.isKept(one) && !f.isKept(two));
    auto second = f.fetch(two);
    KJ_EXPECT(f.isKept(one) && f.isKept(two));
    first.tree = nullptr;
    KJ_EXPECT(!f.isKept(one) && f.isKept(two));
  }
  KJ_EXPECT(!f.isKept(two));
  auto merged = f.merge({one.toText(), two.toText()});
  KJ_EXPECT(f.isKept(one) && f.isKept(two));
  merged = nullptr;
  KJ_EXPECT(!f.isKept(one) && !f.isKept(two));
}

KJ_TEST("the next head's tree is linked to the last one's, though nobody runs that any more") {
  Fixture f;
  auto shared = kj::str(kj::repeat('x', 3 << 20));  // some blocks
  f.folder.write("one/main.wasm", "one");
  f.folder.write("one/lib/shared", shared);
  f.folder.write("two/main.wasm", "two");
  f.folder.write("two/lib/shared", shared);
  auto one = f.add("one"), two = f.add("two");
  auto statOf = [&](kj::StringPtr tree) {
    struct stat info;
    KJ_SYSCALL(stat(f.folder.at(kj::str("trees/", tree, "/lib/shared")).cStr(), &info));
    return info;
  };
  auto first = f.fetch(one);
  auto name = kj::str(KJ_ASSERT_NONNULL(first.tree)->getName());
  auto number = statOf(name).st_ino;
  int raw;  // so that no other file gets its number
  KJ_SYSCALL(raw = open(f.folder.at(kj::str("trees/", name, "/lib/shared")).cStr(), O_PATH));
  kj::AutoCloseFd hold(raw);
  first.tree = nullptr;
  auto second = f.fetch(two);
  auto& tree = *KJ_ASSERT_NONNULL(second.tree);
  KJ_EXPECT(statOf(tree.getName()).st_ino == number);
  KJ_EXPECT(f.read(tree, "lib/shared") == shared && f.read(tree, "main.wasm") == "two");
  f.trees.waitUntilRemoved();
  auto left = f.folder.list("trees");
  KJ_EXPECT(left.size() == 1 && left[0] == tree.getName(), left);
}

KJ_TEST("a head is a content id in either form; what is none, or no image, is so for good") {
  Fixture f;
  f.folder.write("app/main.wasm", "code");
  f.folder.write("data/etc/file", "text");
  f.folder.write("link/.wh..wh.odd", "");
  auto app = f.add("app"), data = f.add("data"), odd = f.add("link");
  auto text = app.toText();
  KJ_EXPECT(f.images.fetch(text.asBytes()).wait(f.io.waitScope).wasm == "code"_kj.asBytes());
  for (auto head: {""_kj, "no content id"_kj, "\xff\xfe"_kj}) {
    KJ_EXPECT(f.refusal(head.asBytes()).startsWith("for good: the head is no content id"));
  }
  auto why = f.refusal(data.getBytes());
  KJ_EXPECT(has(why, "for good: ") && has(why, data.toText()), why);
  KJ_EXPECT(has(why, "neither main.wasm nor bin/main.wasm"), why);
  why = f.refusal(odd.getBytes());
  KJ_EXPECT(has(why, "for good: ") && has(why, "a reserved name"), why);
  why = f.refusal(Cid::of(Cid::RAW, "nobody's"_kj.asBytes()).getBytes());
  KJ_EXPECT(has(why, "now: ") && has(why, "cannot be had"), why);
}

KJ_TEST("peers are met once there is something to ask them for, and once") {
  Fixture f;
  f.folder.write("app/main.wasm", "code");
  auto app = f.add("app");
  auto image = f.fetch(app);
  f.images.prefetch(app.getBytes()).wait(f.io.waitScope);
  KJ_EXPECT(f.met == 0, "all of it is here");
  auto gone = Cid::of(Cid::DAG_PB, "nobody's"_kj.asBytes());
  f.refusal(gone.getBytes());
  f.refusal(gone.getBytes());
  KJ_EXPECT(f.met == 1);
}

KJ_TEST("an image is kept for who asks, who hears of each step") {
  Fixture f;
  auto app = f.addImage("app", 1000);
  KJ_EXPECT(f.keep(app) == "it is pinned" && f.isPinned(app));
  KJ_EXPECT(f.steps >= 2, f.steps);  // its files
  KJ_EXPECT(f.swarm.findProviders(app.getMultihash()).wait(f.io.waitScope).size() == 1);
}

KJ_TEST("who may not any more has nothing pinned, however far it has come") {
  Fixture f;
  auto app = f.addImage("app", 1000);
  auto why = f.keep(app, []() { kj::throwFatalException(badInput("revoked: as told")); });
  KJ_EXPECT(why == "revoked: as told" && !f.isPinned(app), why);
  KJ_EXPECT(f.swarm.findProviders(app.getMultihash()).wait(f.io.waitScope).size() == 0);
}

KJ_TEST("who may have it pinned as it is pinned hears that it is, and so do others") {
  Fixture f;
  auto app = f.addImage("app", 1000);
  int asked = 0;
  KJ_EXPECT(f.keep(app, [&]() {
    if (asked++ > 0) kj::throwFatalException(badInput("revoked: a moment after it was pinned"));
  }) == "it is pinned");
  KJ_EXPECT(f.isPinned(app) && asked == 1, asked);
  KJ_EXPECT(f.swarm.findProviders(app.getMultihash()).wait(f.io.waitScope).size() == 1);
}

KJ_TEST("what nobody could run is not pinned for a peer") {
  Fixture f;
  f.folder.write("data/file", "text");
  f.folder.write("text/main.wasm", "no component");
  for (auto& [name, said]: {std::pair("data"_kj, "this is no image"_kj),
                            std::pair("text"_kj, "main.wasm is no component"_kj)}) {
    auto cid = f.add(name);
    auto why = f.keep(cid);
    KJ_EXPECT(has(why, said) && has(why, cid.toText()) && !f.isPinned(cid), why);
  }
}

KJ_TEST("peers have half of the store pinned, and what is pinned already") {
  Fixture f(1 << 20);
  auto half = f.storeBytes / 2;
  auto one = f.addImage("one", half - 2000), two = f.addImage("two", 3000);
  KJ_EXPECT(f.keep(one) == "it is pinned");
  auto why = f.keep(two);
  KJ_EXPECT(has(why, "peers may pin up to 524288") && has(why, "ww image unpin"), why);
  KJ_EXPECT(!f.isPinned(two));
  KJ_EXPECT(f.keep(one) == "it is pinned");
  f.other.setPinned(two, true);  // its operator may
  KJ_EXPECT(f.keep(two) == "it is pinned" && f.keep(one) == "it is pinned");
  f.other.setPinned(one, false);
  KJ_EXPECT(has(f.keep(one), "peers may pin"));
  f.other.setPinned(two, false);
  KJ_EXPECT(f.keep(one) == "it is pinned");
}

KJ_TEST("what is no file's counts as well, as it comes") {
  Fixture f(8 << 20);
  f.folder.write("names/main.wasm", COMPONENT);
  auto rest = kj::str(kj::repeat('n', 240));
  for (int i = 0; i < 25'000; i++) f.folder.write(kj::str("names/", i, rest), "");
  auto names = f.add("names");
  f.forget(names);
  auto why = f.keep(names);
  KJ_EXPECT(has(why, "peers may pin up to 4194304") && !f.isPinned(names), why);
  KJ_EXPECT(f.bytesOf(names) < (4 << 20) + 2 * MAX_BLOCK_BYTES);
}

KJ_TEST("what an image shares with a pinned one takes no room, be it here or yet to come") {
  for (bool isHere: {true, false}) {
    Fixture f(8 << 20);
    auto one = f.addBlocks("one", 3);
    KJ_EXPECT(f.keep(one) == "it is pinned");
    f.folder.write("one/data2", "more");
    auto two = f.add("one");
    if (!isHere) f.forget(two);
    KJ_EXPECT(f.keep(two) == "it is pinned");
    auto other = f.addBlocks("else", 3);
    if (!isHere) f.forget(other);
    auto why = f.keep(other);
    KJ_EXPECT(has(why, "peers may pin") && !f.isPinned(other), why);
  }
}

KJ_TEST("an image that has a file twice takes its room once, be it here or yet to come") {
  for (bool isHere: {true, false}) {
    Fixture f(8 << 20);
    f.addImage("twice", 3 << 20);
    f.folder.write("twice/again", f.folder.read("twice/data"));
    auto twice = f.add("twice");
    if (!isHere) f.forget(twice);
    KJ_EXPECT(f.keep(twice) == "it is pinned");
  }
}

KJ_TEST("what is being kept has one bound, however many come at once") {
  Fixture f(8 << 20);
  f.meetsNobody = true;
  auto one = f.addBlocks("one", 3), two = f.addBlocks("two", 3);
  f.damage("one/data");
  auto first = f.begin(one);
  f.asked.promise.wait(f.io.waitScope);
  auto why = f.keep(two);
  KJ_EXPECT(has(why, "or are being kept") && !f.isPinned(two), why);
  auto again = f.begin(one);  // what two have kept takes its room once
  KJ_EXPECT(!again.poll(f.io.waitScope));
  first = nullptr;
  KJ_EXPECT(has(f.keep(two), "or are being kept"));
  again = nullptr;
  KJ_EXPECT(f.keep(two) == "it is pinned");
}

KJ_TEST("what nothing comes of leaves nothing") {
  Fixture f;
  auto gone = Cid::of(Cid::DAG_PB, "nobody's"_kj.asBytes());
  KJ_EXPECT(has(f.keep(gone), "cannot be had"));
  KJ_EXPECT(f.other.list().size() == 0);
  KJ_EXPECT(f.files("keep-") == 0);
  f.other.keep(gone);
  auto pinned = f.other.keep(gone);
  f.other.setPinned(gone, true);  // before it is here
  f.keep(gone);
  pinned = nullptr;
  KJ_EXPECT(f.other.list().size() == 1 && f.isPinned(gone));
}

KJ_TEST("so many images are kept at a time") {
  Fixture f;
  f.meetsNobody = true;
  auto gone = Cid::of(Cid::DAG_PB, "nobody's"_kj.asBytes());
  kj::Vector<kj::Promise<ImageKeeper::Kept>> all;
  auto begin = [&](const Cid& cid) {
    all.add(f.begin(cid));
    return !all.back().poll(f.io.waitScope);
  };
  for (kj::uint i = 0; i < NodeImages::MAX_KEEPING; i++) {
    KJ_EXPECT(begin(Cid::of(Cid::DAG_PB, kj::str(i).asBytes())));
  }
  auto why = f.keep(gone);
  KJ_EXPECT(has(why, "overloaded: images: 4 are being kept"), why);
  all.removeLast();
  KJ_EXPECT(begin(gone));
  all.clear();
}

KJ_TEST("at the start peers hear of the images that are whole") {
  Fixture f;
  f.folder.write("app/main.wasm", "code");
  auto app = f.add("app");
  auto part = Cid::of(Cid::DAG_PB, "a part of it"_kj.asBytes());
  auto kept = f.other.keep(part);
  LoopbackSwarm asker(f.network, PeerId(SecretKey::generate().getPublicKey()));
  auto providers = [&](const Cid& cid) {
    return asker.findProviders(cid.getMultihash()).wait(f.io.waitScope).size();
  };
  KJ_EXPECT(providers(app) == 0);
  LoopbackSwarm started(f.network, PeerId(SecretKey::generate().getPublicKey()));
  NodeImages again(NodeImages::Parts{f.store, f.storeBytes, f.nobody, true,
      []() { return kj::Promise<void>(kj::READY_NOW); }, DialScope::ANYWHERE, started,
      *f.io.provider, f.trees, f.logger});
  KJ_EXPECT(providers(app) == 1 && providers(part) == 0);
}

}  // namespace
}  // namespace ww
