#include <ww/node/image-store.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/node/directory-store.h>
#include <ww/node/image-batch.h>

namespace ww {
namespace {

constexpr uint64_t NO_IMAGE = 0;       // SQLite counts from 1

// So much of the bound is made free at once: not for every block anew.
constexpr uint64_t SLACK_PART = 16;

// Of an image whose root is not known yet: version 1, raw, identity, of 16 bytes.
constexpr kj::byte DRAFT_BYTES[] = {0x01, 0x55, 0x00, 0x10};
constexpr kj::ArrayPtr<const kj::byte> DRAFT_PREFIX(DRAFT_BYTES, sizeof(DRAFT_BYTES));

kj::String holdName(uint64_t image) { return kj::str("keep-", image); }

}  // namespace

void requireImageName(kj::StringPtr name) {
  constexpr size_t MAX_NAME_BYTES = 100;
  bool good = name.size() > 0 && name.size() <= MAX_NAME_BYTES;
  for (size_t i = 0; i < name.size(); i++) {
    char c = name[i];
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    good = good && (plain || (i > 0 && strchr("._-:@", c) != nullptr));
  }
  if (!good) {
    kj::throwFatalException(badInput(kj::str("`", shorten(name), "` is no image's name: 1 to ",
        MAX_NAME_BYTES, " letters, digits and ._-:@, the first a letter or a digit")));
  }
  bool isCid = kj::runCatchingExceptions([&]() { Cid::parse(name); }) == nullptr;
  if (isCid) {
    kj::throwFatalException(badInput(kj::str("`", shorten(name),
                                             "` is a content id, and no name for an image")));
  }
}

// Keeps its image by a shared lock on a file.
class ImageStore::KeptImage final: public Kept {
 public:
  KeptImage(ImageStore& store, uint64_t image, kj::AutoCloseFd lock, bool whole)
      : store(store), image(image), lock(kj::mv(lock)), whole(whole) {}
  ~KeptImage() noexcept(false) { store.letGo(image); }

  kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) override {
    return store.findFor(whole ? NO_IMAGE : image, cid);
  }
  void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) override {
    store.putFor(image, cid, block);
  }
  bool isWhole() override { return whole; }
  void finish() override {
    store.finish(image);
    whole = true;
  }

 private:
  ImageStore& store;
  const uint64_t image;
  const kj::AutoCloseFd lock;
  bool whole;
};

// Goes when it is dropped, and at the next collection where its process was killed.
class ImageStore::Draft final: public Kept {
 public:
  Draft(ImageStore& store, uint64_t image, kj::Own<Kept> kept)
      : store(store), image(image), kept(kj::mv(kept)) {}
  ~Draft() noexcept(false) {
    kept = nullptr;
    unwind.catchExceptionsIfUnwinding([this]() { store.dropDraft(image); });
  }

  kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) override { return kept->find(cid); }
  void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) override { kept->put(cid, block); }
  bool isWhole() override { return false; }
  void finish() override { KJ_FAIL_REQUIRE("it has no root"); }

 private:
  ImageStore& store;
  const uint64_t image;
  kj::Own<Kept> kept;
  kj::UnwindDetector unwind;
};

ImageStore::ImageStore(kj::StringPtr path, uint64_t maxBytes, const kj::Clock& clock,
                       Logger& logger)
    : folderPath(kj::str(path)), maxBytes(maxBytes), clock(clock), logger(logger),
      folder(openPrivateFolder(path)), db(Database::open(folder, path)), batch(kj::heap<Batch>()) {}

ImageStore::~ImageStore() noexcept(false) {}

uint64_t ImageStore::now() const {
  return uint64_t(kj::max((clock.now() - kj::UNIX_EPOCH) / kj::SECONDS, 0));
}

kj::Maybe<kj::Array<const kj::byte>> ImageStore::find(const Cid& cid) {
  return findFor(NO_IMAGE, cid);
}

void ImageStore::put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) {
  putFor(NO_IMAGE, cid, block);
}

kj::Maybe<kj::Array<const kj::byte>> ImageStore::findFor(uint64_t image, const Cid& cid) {
  KJ_IF_MAYBE(block, batch->find(cid)) {
    auto bytes = kj::heapArray<const kj::byte>(*block);
    if (image != NO_IMAGE) addToBatch(image, cid, bytes, Batch::FOUND);
    return kj::mv(bytes);
  }
  KJ_IF_MAYBE(row, db->findBlock(cid)) {
    auto checked = check(cid, row->id, db->read(row->id));
    KJ_IF_MAYBE(bytes, checked) {
      if (image != NO_IMAGE) {
        addToBatch(image, cid, *bytes, Batch::FOUND);
      } else if (row->used + USE_SECONDS < now()) {
        if (!batch->hasRoom(0, clock.now())) writeBatch();
        batch->addUsed(row->id, clock.now());
      }
    }
    return checked;
  }
  return nullptr;
}

kj::Maybe<kj::Array<const kj::byte>> ImageStore::check(const Cid& cid, uint64_t block,
                                                       kj::Array<const kj::byte> bytes) {
  if (cid.isOf(bytes)) return kj::mv(bytes);
  logger.log(LogLevel::WARNING, "a block in the store is damaged, and removed from it",
             {{"folder", kj::str(folderPath)}, {"block", cid.toText()}});
  SqliteTransaction transaction(db->file);
  db->removeDamaged(block);
  transaction.commit();
  return nullptr;
}

kj::Maybe<kj::Array<const kj::byte>> ImageStore::findShared(const Cid& cid) {
  KJ_IF_MAYBE(block, batch->find(cid)) return kj::heapArray<const kj::byte>(*block);
  if (findSharedSize(cid) == nullptr) return nullptr;
  KJ_IF_MAYBE(row, db->findBlock(cid)) return check(cid, row->id, db->read(row->id));
  return nullptr;
}

kj::Maybe<uint64_t> ImageStore::findSharedSize(const Cid& cid) {
  KJ_IF_MAYBE(block, batch->find(cid)) return block->size();
  return db->sharedSize.askNumber(cid.getBytes());
}

void ImageStore::putFor(uint64_t image, const Cid& cid, kj::ArrayPtr<const kj::byte> block) {
  if (block.size() > MAX_BLOCK_BYTES) {
    kj::throwFatalException(badInput(kj::str(cid.toText(), ": a block of ", block.size(),
                                             " bytes; the limit is ", MAX_BLOCK_BYTES)));
  }
  if (image != NO_IMAGE) return addToBatch(image, cid, block, Batch::NEW);
  writeBatch();
  makeRoom(block.size());
  SqliteTransaction transaction(db->file);
  KJ_IF_MAYBE(row, db->findBlock(cid)) {
    db->setUsed.run(now(), row->id);
  } else {
    db->add(cid, block, now());
  }
  transaction.commit();
}

void ImageStore::addToBatch(uint64_t image, const Cid& cid, kj::ArrayPtr<const kj::byte> block,
                            bool isNew) {
  if (!batch->hasRoom(block.size(), clock.now())) writeBatch();
  batch->add(image, cid, block, isNew, clock.now());
}

// Where that fails it is all still there, for the next time.
void ImageStore::writeBatch() {
  if (batch->isEmpty()) return;
  makeRoom(batch->getNewBytes());
  SqliteTransaction transaction(db->file);
  batch->write(*db, now());
  transaction.commit();
  batch->clear();
}

void ImageStore::finish(uint64_t image) {
  makeRoom(batch->getNewBytes());
  db->commitDurably([&](Database& db) {
    batch->write(db, now());
    db.setWhole.run(true, image);
  });
  batch->clear();
}

// What came of an image that is not whole is for whoever wants it next.
void ImageStore::letGo(uint64_t image) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([this]() { writeBatch(); })) {
    logger.log(LogLevel::WARNING, "blocks that came could not be written to the store",
               {{"folder", kj::str(folderPath)}, {"cause", kj::str(e->getDescription())}});
    batch->drop(image);
  }
}

// Within a transaction: shared by those that keep it, exclusive for who would remove it. Nothing if
// that cannot be had.
kj::Maybe<kj::AutoCloseFd> ImageStore::lockImage(uint64_t image, int how) {
  auto name = holdName(image);
  int fd = openat(folder, name.cStr(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    kj::throwFatalException(badInput(kj::str(folderPath, "/", name, ": cannot be made (",
                                             strerror(errno), ")")));
  }
  kj::AutoCloseFd file(fd);
  if (flock(file, how | LOCK_NB) < 0) return nullptr;
  return kj::mv(file);
}

kj::Own<ImageStore::Kept> ImageStore::keep(const Cid& root) { return keepRow(root); }

// Under the content id of random bytes: that of no directory.
kj::Own<ImageStore::Kept> ImageStore::begin() {
  kj::byte bytes[DRAFT_PREFIX.size() + 16];
  memcpy(bytes, DRAFT_PREFIX.begin(), DRAFT_PREFIX.size());
  KJ_SYSCALL(getrandom(bytes + DRAFT_PREFIX.size(), 16, 0));
  auto cid = Cid::fromBytes(bytes);
  auto kept = keepRow(cid);
  return kj::heap<Draft>(*this, requireImage(cid), kj::mv(kept));
}

void ImageStore::dropDraft(uint64_t image) {
  SqliteTransaction transaction(db->file);
  db->dropImage(image);
  unlinkat(folder, holdName(image).cStr(), 0);
  transaction.commit();
}

kj::Own<ImageStore::Kept> ImageStore::keepRow(const Cid& root) {
  // Whoever removes images holds the lock of a writer too.
  SqliteTransaction transaction(db->file);
  db->addImage.run(root.getBytes(), now(), now());
  auto image = requireImage(root);
  db->setImageUsed.run(now(), image);
  auto lock = lockImage(image, LOCK_SH);
  transaction.commit();
  bool whole = db->isWhole.askNumber(image).orDefault(0) > 0;
  return kj::heap<KeptImage>(*this, image, kj::mv(KJ_ASSERT_NONNULL(lock)), whole);
}

uint64_t ImageStore::requireImage(const Cid& root) {
  KJ_IF_MAYBE(id, db->imageByCid.askNumber(root.getBytes())) return *id;
  kj::throwFatalException(badInput(kj::str("there is no image ", root.toText(), " in ",
                                           folderPath)));
}

kj::Maybe<StoredImage> ImageStore::findImage(kj::StringPtr nameOrCid) {
  writeBatch();
  SqliteTransaction transaction(db->file);  // for the lock
  KJ_IF_MAYBE(id, db->imageByName.askNumber(nameOrCid)) return findById(*id);
  kj::Maybe<Cid> cid;
  if (kj::runCatchingExceptions([&]() { cid = Cid::parse(nameOrCid); }) != nullptr) return nullptr;
  KJ_IF_MAYBE(id, db->imageByCid.askNumber(KJ_ASSERT_NONNULL(cid).getBytes())) {
    return findById(*id);
  }
  return nullptr;
}

kj::Maybe<StoredImage> ImageStore::findById(uint64_t id) {
  KJ_IF_MAYBE(image, db->readImage(id)) {
    image->inUse = lockImage(id, LOCK_EX) == nullptr;
    return kj::mv(*image);
  }
  return nullptr;
}

kj::Array<StoredImage> ImageStore::list() {
  writeBatch();
  SqliteTransaction transaction(db->file);  // for the locks
  kj::Vector<StoredImage> images;
  for (auto id: db->imageIds()) {
    KJ_IF_MAYBE(image, findById(id)) images.add(kj::mv(*image));
  }
  return images.releaseAsArray();
}

void ImageStore::setName(const Cid& root, kj::StringPtr name) {
  requireImageName(name);
  SqliteTransaction transaction(db->file);
  db->dropName.run(name);
  db->setName.run(name, requireImage(root));
  transaction.commit();
}

void ImageStore::setPinned(const Cid& root, bool pinned) {
  writeBatch();
  db->commitDurably([&](Database& db) { db.setPinned.run(pinned, requireImage(root)); });
}

Collected ImageStore::remove(const Cid& root) {
  writeBatch();
  Collected collected;
  {
    SqliteTransaction transaction(db->file);
    auto image = requireImage(root);
    auto lock = lockImage(image, LOCK_EX);
    if (lock == nullptr) {
      kj::throwFatalException(badInput(kj::str(root.toText(), " is in use by a process that runs; "
                                               "end that one first")));
    }
    db->dropImage(image);
    ++collected.images;
    unlinkat(folder, holdName(image).cStr(), 0);
    transaction.commit();
  }
  removeOrphans(collected, 0);
  giveSpaceBack();
  return collected;
}

Collected ImageStore::collect(uint64_t bytes) {
  writeBatch();
  Collected collected;
  while (getBytes() > bytes && collectOne(collected, bytes)) {}
  if (collected.blocks > 0) giveSpaceBack();
  return collected;
}

bool ImageStore::collectOne(Collected& collected, uint64_t bytes) {
  auto before = collected.blocks;
  removeOrphans(collected, bytes);
  return collected.blocks > before || collectImage(collected);
}

// The longest unused that may go.
bool ImageStore::collectImage(Collected& collected) {
  SqliteTransaction transaction(db->file);
  for (auto image: db->unpinnedIds()) {
    KJ_IF_MAYBE(lock, lockImage(image, LOCK_EX)) {
      db->dropImage(image);
      unlinkat(folder, holdName(image).cStr(), 0);
      transaction.commit();
      ++collected.images;
      return true;
    }
  }
  return false;
}

// Some at a time: others want to write, too.
void ImageStore::removeOrphans(Collected& collected, uint64_t bytes) {
  for (;;) {
    SqliteTransaction transaction(db->file);
    auto total = db->total.askNumber().orDefault(0);
    if (total <= bytes) return;
    auto orphans = db->orphans();
    if (orphans.size() == 0) return;
    for (auto& orphan: orphans) {
      if (total <= bytes) break;
      db->remove(orphan.id, orphan.size);
      total -= kj::min(total, orphan.size);
      ++collected.blocks;
      collected.bytes += orphan.size;
    }
    transaction.commit();
  }
}

void ImageStore::makeRoom(uint64_t bytes) {
  if (bytes == 0 || writtenBytes() + bytes <= maxBytes) return;
  auto slack = maxBytes / SLACK_PART;
  auto target = maxBytes - kj::min(maxBytes, bytes + slack);
  Collected collected;
  while (writtenBytes() > target && collectOne(collected, target)) {}
  auto left = writtenBytes();
  if (left + bytes <= maxBytes) return;
  kj::throwFatalException(badInput(kj::str(folderPath, ": the store is full: ", left, " bytes of ",
      maxBytes, " are of images that are pinned or in use; see `ww image ls`, unpin or remove some "
      "(`ww image unpin`, `ww image rm`), or allow more (--store-size)")));
}

void ImageStore::giveSpaceBack() { db->file.run("PRAGMA incremental_vacuum"); }

StoreCheck ImageStore::verify(kj::Function<void(uint64_t, uint64_t)> progress) {
  writeBatch();
  StoreCheck result;
  db->checkStructure();
  auto all = db->blockCount.askNumber().orDefault(0);
  uint64_t last = 0;
  for (;;) {
    KJ_IF_MAYBE(row, db->nextBlock(last)) {
      last = row->id;
      ++result.blocks;
      result.bytes += row->size;
      if (check(row->cid, row->id, db->read(row->id)) == nullptr) {
        result.damaged.add(kj::mv(row->cid));
      }
      progress(kj::min(result.blocks, all), all);
    } else {
      break;
    }
  }
  for (auto& image: list()) {
    if (!image.whole) result.incomplete.add(kj::mv(image.cid));
  }
  SqliteTransaction transaction(db->file);
  db->correctTotal();
  transaction.commit();
  return result;
}

uint64_t ImageStore::writtenBytes() { return db->total.askNumber().orDefault(0); }

uint64_t ImageStore::getBytes() { return writtenBytes() + batch->getNewBytes(); }

}  // namespace ww
