// A node's images: layers of every kind over each other, what a head may name, and what is kept.
#include <ww/node/node-images.h>

#include <fcntl.h>
#include <kj/test.h>
#include <string.h>
#include <sys/stat.h>
#include <ww/base/ed25519.h>
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

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  MemoryLogger logger;
  TempFolder folder;
  const kj::String store = folder.at("images");
  LoopbackNetwork network;
  LoopbackSwarm swarm{network, PeerId(SecretKey::generate().getPublicKey())};
  TreeFolder trees{folder.at("trees")};
  SourceOptions nobody;
  int met = 0;
  NodeImages images{NodeImages::Parts{store, 1 << 30, nobody, true, [this]() {
    ++met;
    return kj::Promise<void>(kj::READY_NOW);
  }, DialScope::ANYWHERE, swarm, *io.provider, trees, logger}};

  // The same store, as another process has it.
  ImageStore other{store, 1 << 30, kj::systemCoarseCalendarClock(), logger};

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

KJ_TEST("at the start peers hear of the images that are whole") {
  Fixture f;
  f.folder.write("app/main.wasm", "code");
  auto app = f.add("app");
  auto part = Cid::of(Cid::DAG_PB, "a part of it"_kj.asBytes());
  f.other.keep(part);
  LoopbackSwarm asker(f.network, PeerId(SecretKey::generate().getPublicKey()));
  auto providers = [&](const Cid& cid) {
    auto multihash = cid.getBytes().slice(2, cid.getBytes().size());  // version and codec before
    return asker.findProviders(multihash).wait(f.io.waitScope).size();
  };
  KJ_EXPECT(providers(app) == 0);
  LoopbackSwarm started(f.network, PeerId(SecretKey::generate().getPublicKey()));
  NodeImages again(NodeImages::Parts{f.store, 1 << 30, f.nobody, true,
      []() { return kj::Promise<void>(kj::READY_NOW); }, DialScope::ANYWHERE, started,
      *f.io.provider, f.trees, f.logger});
  KJ_EXPECT(providers(app) == 1 && providers(part) == 0);
}

}  // namespace
}  // namespace ww
