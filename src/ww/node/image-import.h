#pragma once
// How an image gets into the store: from a folder, a .wasm file or a .car file on this machine, or
// under a content id from whoever has it. Whatever it comes from, it is walked as a whole, and so
// checked, before the store takes it for whole.
//
// Bounds: TreeLimits of a tree, CarLimits of a .car file, and the store's: what is on its way there
// takes room as what is kept does. Lives on one event loop, which a folder of the host holds up
// until all of it was read, and anything else for some blocks at a time. What came before a failure
// stays, until room is needed.

#include <ww/image/car-writer.h>
#include <ww/image/image-ref.h>
#include <ww/image/tree.h>
#include <ww/node/image-sources.h>
#include <ww/node/image-store.h>

namespace ww {

// Passed over: of who only wants a tree to be there.
class NullSink final: public TreeSink {
 public:
  void directory(kj::StringPtr) override {}
  void beginFile(kj::StringPtr, bool) override {}
  void piece(kj::ArrayPtr<const kj::byte>) override {}
  void endFile() override {}
};

// Tells of what passes it on the way to another, as for a person who waits.
class WatchedSink final: public TreeSink {
 public:
  using Watcher = kj::Function<void(uint64_t files, uint64_t bytes)>;
  WatchedSink(TreeSink& inner, Watcher watcher) : inner(inner), watcher(kj::mv(watcher)) {}

  void directory(kj::StringPtr path) override {
    inner.directory(path);
    watcher(files, bytes);
  }
  void beginFile(kj::StringPtr path, bool executable) override {
    inner.beginFile(path, executable);
  }
  void beginContent(kj::StringPtr path, bool executable, const Cid& cid,
                    uint64_t size) override {
    inner.beginContent(path, executable, cid, size);
  }
  void piece(kj::ArrayPtr<const kj::byte> piece) override {
    inner.piece(piece);
    bytes += piece.size();
    watcher(files, bytes);
  }
  void endFile() override {
    inner.endFile();
    watcher(++files, bytes);
  }

 private:
  TreeSink& inner;
  Watcher watcher;
  uint64_t files = 0, bytes = 0;
};

class ImageImport final {
 public:
  // All outlive it, and it the promises.
  ImageImport(ImageStore& store, ImageSources& sources, const kj::Clock& clock, Logger& logger)
      : store(store), sources(sources), clock(clock), logger(logger) {}

  using Gate = kj::Maybe<ImageStore::Gate&>;

  // An image that is in the store as a whole, and is kept there while this is held.
  struct Added {
    Cid root;
    kj::Own<ImageStore::Kept> kept;
  };

  // Brings it there, as far as it is not, and hands all of it to `sink`. What leads to it, where
  // that is a path, is kept with it: the same is here again without anybody's help. isNoImage()
  // holds for why it rejects where a path of the host is to blame, isContentProblem() where it is
  // what the content is. What is on the host is read in one turn. `gate` outlives what is kept.
  kj::Promise<Added> add(ImageRef ref, TreeSink& sink, Gate gate = nullptr);

  // Its blocks, as many as `maxBytes` holds and there is room for that nothing has to go for; then
  // it rejects. They are nobody's image, and the first to go once what this resolves with is
  // dropped: add() finds them.
  kj::Promise<kj::Own<ImageStore::Kept>> prefetch(Cid root, uint64_t maxBytes);

  // The directory that a reference to content leads to.
  kj::Promise<Cid> resolve(ImageRef ref);

 private:
  kj::Promise<Added> addCar(kj::StringPtr file, TreeSink& sink, Gate gate);
  kj::Promise<Added> addPath(kj::StringPtr path, TreeSink& sink, Gate gate);
  kj::Promise<Cid> resolve(ImageRef ref, BlockStore& store);
  kj::Promise<Added> walk(Cid root, TreeSink& sink, Gate gate,
                          kj::ArrayPtr<const Cid> way = nullptr);
  kj::Promise<kj::Own<ImageStore::Kept>> begin();

  ImageStore& store;
  ImageSources& sources;
  const kj::Clock& clock;
  Logger& logger;
};

// What is in a file, as a stream. Blocks for the disk. Throws, naming it, where it cannot be read.
kj::Own<kj::AsyncInputStream> openFileToRead(kj::StringPtr path);

}  // namespace ww
