#include <ww/node/image-import.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/image/car-reader.h>
#include <ww/image/importer.h>
#include <ww/node/host-layer.h>
#include <ww/node/image-tree.h>

namespace ww {
namespace {

[[noreturn]] void failErrno(kj::StringPtr path, kj::StringPtr what) {
  kj::throwFatalException(badInput(kj::str(path, ": ", what, " (", strerror(errno), ")")));
}

// Files are never waited for by an event loop: they are read at once.
class FileInput final: public kj::AsyncInputStream {
 public:
  FileInput(kj::AutoCloseFd fd, kj::String path) : file(kj::mv(fd)), path(kj::mv(path)) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    size_t done = 0;
    while (done < minBytes) {
      auto count = ::read(file, static_cast<kj::byte*>(buffer) + done, maxBytes - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) failErrno(path, "cannot be read");
      if (count == 0) break;
      done += size_t(count);
    }
    return done;
  }

 private:
  const kj::AutoCloseFd file;
  const kj::String path;
};

// A store, and what was read from it.
class Way final: public BlockStore {
 public:
  explicit Way(BlockStore& inner): inner(inner) {}

  kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) override {
    auto found = inner.find(cid);
    if (found != nullptr) cids.add(cid.clone());
    return found;
  }
  void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) override {
    inner.put(cid, block);
    cids.add(cid.clone());
  }
  bool has(const Cid& cid) override { return inner.has(cid); }

  kj::Vector<Cid> cids;

 private:
  BlockStore& inner;
};

// Takes what fits beside all that is in the store already.
class SpareRoom final: public BlockStore {
 public:
  SpareRoom(ImageStore& store, BlockStore& inner, uint64_t maxBytes)
      : store(store), inner(inner), left(maxBytes) {}

  // What is there counts, too: it may have come by an attempt before.
  kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) override {
    auto found = inner.find(cid);
    KJ_IF_MAYBE(block, found) take(block->size(), true);
    return found;
  }
  void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) override {
    take(block.size(), store.hasRoom(block.size()));
    inner.put(cid, block);
  }

 private:
  void take(size_t bytes, bool hasRoom) {
    if (bytes > left || !hasRoom) {
      kj::throwFatalException(badInput("it takes more room than there is for an image that may "
                                       "never be run"));
    }
    left -= bytes;
  }

  ImageStore& store;
  BlockStore& inner;
  uint64_t left;
};

}  // namespace

kj::Own<kj::AsyncInputStream> openFileToRead(kj::StringPtr path) {
  // Without blocking: a FIFO must not keep anybody waiting for its writer.
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (raw < 0) failErrno(path, "cannot be read");
  kj::AutoCloseFd file(raw);
  struct stat info;
  if (fstat(file, &info) < 0 || !S_ISREG(info.st_mode)) {
    kj::throwFatalException(badInput(kj::str(path, ": not a plain file")));
  }
  return kj::heap<FileInput>(kj::mv(file), kj::str(path));
}

kj::Promise<ImageImport::Added> ImageImport::add(ImageRef ref, TreeSink& sink, Gate gate) {
  KJ_SWITCH_ONEOF(ref) {
    KJ_CASE_ONEOF(car, CarRef) { co_return co_await addCar(car.file, sink, gate); }
    KJ_CASE_ONEOF(path, PathRef) { co_return co_await addPath(path.path, sink, gate); }
    KJ_CASE_ONEOF_DEFAULT {}
  }
  Way way(store);
  auto root = co_await resolve(kj::mv(ref), way);
  co_return co_await walk(kj::mv(root), sink, gate, way.cids);
}

kj::Promise<Cid> ImageImport::resolve(ImageRef ref) { return resolve(kj::mv(ref), store); }

kj::Promise<Cid> ImageImport::resolve(ImageRef ref, BlockStore& blocks) {
  if (ref.is<IpnsRef>()) {
    auto names = store.makeNames(sources.getTimer());
    ref = co_await resolveRef(kj::mv(ref.get<IpnsRef>()), sources.getNames(), *names, clock,
                              logger);
  }
  auto& ipfs = KJ_ASSERT_NONNULL(ref.tryGet<IpfsRef>(), "what is on the host is added");
  if (ipfs.path.size() == 0) co_return kj::mv(ipfs.root);
  BlockFetcher fetcher(blocks, sources.getBlocks(), logger);
  co_return co_await resolvePath(fetcher, ipfs.root, ipfs.path);
}

kj::Promise<kj::Own<ImageStore::Kept>> ImageImport::begin() {
  kj::Own<ImageStore::Kept> draft;
  co_await store.whenFree(sources.getTimer(), [&]() { draft = store.begin(); });
  co_return kj::mv(draft);
}

kj::Promise<ImageImport::Added> ImageImport::addCar(kj::StringPtr file, TreeSink& sink,
                                                     Gate gate) {
  auto in = openFileToRead(file);
  auto draft = co_await begin();
  auto summary = co_await readCar(*in, file, CarLimits(), *draft);
  if (summary.roots.size() == 0) {
    kj::throwFatalException(badInput(kj::str(file, ": this file names no root: which of its blocks "
                                             "is the image is not known")));
  }
  co_return co_await walk(summary.roots[0].clone(), sink, gate).catch_(
      [file](kj::Exception&& e) -> kj::Promise<Added> {
        if (!isNoImage(e)) e.setDescription(kj::str(file, ": ", e.getDescription()));
        return kj::mv(e);
      });
}

kj::Promise<ImageImport::Added> ImageImport::addPath(kj::StringPtr path, TreeSink& sink,
                                                      Gate gate) {
  auto draft = co_await begin();
  Importer importer(*draft);
  readHostLayer(path, TreeLimits(), importer);
  co_return co_await walk(importer.finish(), sink, gate);
}

kj::Promise<ImageImport::Added> ImageImport::walk(Cid root, TreeSink& sink, Gate gate,
                                                   kj::ArrayPtr<const Cid> way) {
  kj::Own<ImageStore::Kept> kept;
  co_await store.whenFree(sources.getTimer(), [&]() { kept = store.keep(root, gate); });
  for (auto& cid: way) {
    KJ_IF_MAYBE(block, store.find(cid)) kept->put(cid, *block);
  }
  BlockFetcher fetcher(*kept, sources.getBlocks(), logger, BlockFetcher::Reads::DAGS);
  co_await readTree(fetcher, root, TreeLimits(), sink);
  // As it is now: a block may have rotted, and come again.
  if (!kept->isWhole()) {
    co_await store.whenFree(sources.getTimer(), [&]() { kept->finish(); });
  }
  co_return Added{kj::mv(root), kj::mv(kept)};
}

kj::Promise<kj::Own<ImageStore::Kept>> ImageImport::prefetch(Cid root, uint64_t maxBytes) {
  auto draft = co_await begin();
  SpareRoom room(store, *draft, maxBytes);
  BlockFetcher fetcher(room, sources.getBlocks(), logger);
  NullSink nowhere;
  co_await readTree(fetcher, root, TreeLimits(), nowhere);
  co_return kj::mv(draft);
}

}  // namespace ww
