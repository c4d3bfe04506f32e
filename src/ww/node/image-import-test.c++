// How an image gets into the store, from wherever it comes: as a whole, and with what led to it.
#include <ww/node/image-import.h>

#include <kj/test.h>
#include <string.h>
#include <ww/base/error.h>
#include <ww/image/refusal.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

// Somebody who has what is in a store of its own.
class Donor final: public BlockSource {
 public:
  explicit Donor(kj::StringPtr folder): store(folder, 1 << 30, kj::nullClock(), logger) {}

  kj::StringPtr getName() const override { return "donor"_kj; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) override {
    asked.add(cid.toText());
    KJ_IF_MAYBE(block, store.find(cid)) return kj::mv(*block);
    return badInput("it does not have it");
  }

  MemoryLogger logger;
  ImageStore store;
  kj::Vector<kj::String> asked;
};

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  MemoryLogger logger;
  TempFolder folder;
  ImageStore store;
  kj::Own<Donor> owned = kj::heap<Donor>(folder.at("theirs"));
  Donor& donor = *owned;
  ImageSources sources{SourceOptions(), *io.provider, kj::Own<BlockSource>(kj::mv(owned))};
  ImageImport import{store, sources, kj::nullClock(), logger};
  NullSink nowhere;

  explicit Fixture(uint64_t maxBytes = 1 << 30)
      : store(folder.at("ours"), maxBytes, kj::nullClock(), logger) {}

  // A folder of the host: what it is as content, which the donor has.
  Cid give(kj::StringPtr path) {
    ImageSources none(SourceOptions(), *io.provider);
    ImageImport theirs(donor.store, none, kj::nullClock(), logger);
    return theirs.add(PathRef{folder.at(path)}, nowhere).wait(io.waitScope).root.clone();
  }
  ImageImport::Added add(ImageRef ref) {
    return import.add(kj::mv(ref), nowhere).wait(io.waitScope);
  }
  bool isWhole(const Cid& cid) {
    auto found = store.findImage(cid.toText());
    return found.map([](const StoredImage& image) { return image.whole; }).orDefault(false);
  }
  template <typename T>
  kj::String failure(kj::Promise<T> promise) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { promise.wait(io.waitScope); })) {
      why = kj::cp(*e);
      return kj::str(e->getDescription());
    }
    return kj::str("nothing went wrong");
  }
  kj::Maybe<kj::Exception> why;
};

KJ_TEST("whatever it comes from, the whole image is in the store, and kept while it is held") {
  Fixture f;
  f.folder.write("image/main.wasm", "code");
  f.folder.write("image/etc/file", "text");
  auto root = f.give("image");
  {
    auto added = f.add(IpfsRef{root.clone(), kj::String()});
    KJ_EXPECT(added.root == root && f.isWhole(root) && f.donor.asked.size() > 2);
    KJ_EXPECT(KJ_ASSERT_NONNULL(f.store.findImage(root.toText())).inUse);
  }
  KJ_EXPECT(!KJ_ASSERT_NONNULL(f.store.findImage(root.toText())).inUse);
}

KJ_TEST("a folder is in the store as the content that it is, and nobody is asked") {
  Fixture f;
  f.folder.write("image/main.wasm", "code");
  auto root = f.give("image");
  auto added = f.add(PathRef{f.folder.at("image")});
  KJ_EXPECT(added.root == root && f.isWhole(root) && f.donor.asked.size() == 0);
}

KJ_TEST("a part that nobody has is named, and the image is not whole") {
  Fixture f;
  f.folder.write("image/main.wasm", "code");
  auto root = f.give("image");
  f.donor.store.remove(root);
  auto text = f.failure(f.import.add(IpfsRef{root.clone(), kj::String()}, f.nowhere));
  KJ_EXPECT(has(text, root.toText()) && has(text, "donor: it does not have it"), text);
  KJ_EXPECT(!isContentProblem(KJ_ASSERT_NONNULL(f.why)), "it may have it tomorrow");
  KJ_EXPECT(!f.isWhole(root));
}

KJ_TEST("content that is no tree is refused for good") {
  Fixture f;
  auto file = Cid::of(Cid::RAW, "no directory"_kj.asBytes());
  f.donor.store.keep(file)->put(file, "no directory"_kj.asBytes());
  auto text = f.failure(f.import.add(IpfsRef{file.clone(), kj::String()}, f.nowhere));
  KJ_EXPECT(has(text, "an image is a directory"), text);
  KJ_EXPECT(isContentProblem(KJ_ASSERT_NONNULL(f.why)));
}

KJ_TEST("what leads to an image is kept with it") {
  Fixture f;
  f.folder.write("all/images/app/main.wasm", "code");
  f.folder.write("all/else", "more");
  auto root = f.give("all");
  auto app = f.add(IpfsRef{root.clone(), kj::str("images/app")}).root.clone();
  KJ_EXPECT(f.isWhole(app) && !f.isWhole(root));
  // Room is made, and nobody is there any more.
  f.store.setPinned(app, true);
  f.store.collect(0);
  auto asked = f.donor.asked.size();
  KJ_EXPECT(f.add(IpfsRef{root.clone(), kj::str("images/app")}).root == app);
  KJ_EXPECT(f.donor.asked.size() == asked, f.donor.asked);
}

KJ_TEST("what leads to an image is kept with it where the image was here before") {
  Fixture f;
  f.folder.write("all/images/app/main.wasm", "code");
  auto app = f.give("all/images/app"), root = f.give("all");
  f.add(IpfsRef{app.clone(), kj::String()});
  f.add(IpfsRef{root.clone(), kj::str("images/app")});
  f.store.setPinned(app, true);
  f.store.collect(0);
  auto asked = f.donor.asked.size();
  f.add(IpfsRef{root.clone(), kj::str("images/app")});
  KJ_EXPECT(f.donor.asked.size() == asked, f.donor.asked);
}

KJ_TEST("what is fetched ahead is here for who needs it, and the first to go") {
  Fixture f;
  f.folder.write("image/main.wasm", "code");
  auto root = f.give("image");
  auto ahead = f.import.prefetch(root.clone(), 1 << 20).wait(f.io.waitScope);
  auto asked = f.donor.asked.size();
  KJ_EXPECT(asked == 2 && f.store.findImage(root.toText()) == nullptr);
  f.store.collect(0);
  f.add(IpfsRef{root.clone(), kj::String()});
  KJ_EXPECT(f.donor.asked.size() == asked && f.isWhole(root), f.donor.asked);
  f.store.remove(root);
  ahead = nullptr;
  f.store.collect(0);
  KJ_EXPECT(f.store.getBytes() == 0);
}

constexpr uint64_t BOUND = 1 << 20;

KJ_TEST("nothing goes for what is fetched ahead") {
  Fixture f(BOUND);
  f.folder.write("own/data", kj::str(kj::repeat('x', BOUND * 3 / 4)));
  auto own = f.add(PathRef{f.folder.at("own")}).root.clone();
  f.folder.write("image/main.wasm", kj::str(kj::repeat('y', BOUND / 2)));
  auto root = f.give("image");
  auto text = f.failure(f.import.prefetch(root.clone(), BOUND));
  KJ_EXPECT(has(text, "more room than there is"), text);
  KJ_EXPECT(!isContentProblem(KJ_ASSERT_NONNULL(f.why)) && f.isWhole(own));
  f.add(IpfsRef{root.clone(), kj::String()});
  KJ_EXPECT(f.isWhole(root) && !f.isWhole(own), "what is run takes the place");
}

KJ_TEST("what is fetched ahead is no larger than it may be, however often it is tried") {
  Fixture f(64 * BOUND);
  f.folder.write("image/main.wasm", kj::str(kj::repeat('y', BOUND), kj::repeat('z', BOUND),
                                            kj::repeat('a', BOUND), kj::repeat('b', BOUND)));
  auto root = f.give("image");
  for (int i = 0; i < 5; i++) {
    auto text = f.failure(f.import.prefetch(root.clone(), BOUND * 3 / 2));
    KJ_EXPECT(has(text, "more room than there is"), i, text);
    KJ_EXPECT(f.store.getBytes() <= BOUND * 3 / 2, i, f.store.getBytes());
  }
}

KJ_TEST("what is fetched ahead is charged once") {
  Fixture f(64 * BOUND);
  f.folder.write("image/main.wasm", kj::str(kj::repeat('y', BOUND), kj::repeat('z', BOUND)));
  auto root = f.give("image");
  auto bytes = f.donor.store.getBytes();
  for (int i = 0; i < 2; i++) {
    f.import.prefetch(root.clone(), bytes).wait(f.io.waitScope);
    KJ_EXPECT(f.store.getBytes() == bytes, i);
  }
}

KJ_TEST("what is fetched ahead is no larger than it may be") {
  Fixture f;
  f.folder.write("image/main.wasm", kj::str(kj::repeat('y', BOUND / 2)));
  auto root = f.give("image");
  auto text = f.failure(f.import.prefetch(root.clone(), BOUND / 4));
  KJ_EXPECT(has(text, "more room than there is"), text);
}

}  // namespace
}  // namespace ww
