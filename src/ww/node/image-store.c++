#include <ww/node/image-store.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/node/directory-store.h>
#include <ww/node/image-batch.h>
#include <ww/node/image-removal.h>

namespace ww {
namespace {

constexpr uint64_t NO_IMAGE = 0;       // SQLite counts from 1

// Of an image whose root is not known yet: version 1, raw, identity, of 16 bytes.
constexpr kj::byte DRAFT_BYTES[] = {0x01, 0x55, 0x00, 0x10};
constexpr kj::ArrayPtr<const kj::byte> DRAFT_PREFIX(DRAFT_BYTES, sizeof(DRAFT_BYTES));

// Of the whole file: it goes with the descriptor, and whoever looks at it does not take it.
struct flock wholeFile(short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

bool isBusy(const kj::Exception& exception) {
  return exception.getType() == kj::Exception::Type::OVERLOADED;
}

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
  if (name.endsWith(".car")) {
    kj::throwFatalException(badInput(kj::str("`", name, "` is no image's name: what ends in .car "
                                             "is a file wherever an image is named")));
  }
}

// Keeps its image by a shared lock on a file.
class ImageStore::KeptImage final: public Kept {
 public:
  KeptImage(ImageStore& store, uint64_t image, kj::AutoCloseFd lock, bool whole,
            kj::Maybe<Gate&> gate)
      : store(store), image(image), lock(kj::mv(lock)), gate(gate), whole(whole) {
    ++store.keepers.findOrCreate(image, [&]() { return Keepers::Entry{image, 0}; });
  }
  ~KeptImage() noexcept(false) {
    store.letGo(image);
    store.dropIfNothing(image, lock);
  }

  kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) override {
    return store.findFor(whole ? NO_IMAGE : image, cid, gate);
  }
  void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) override {
    store.putFor(image, cid, block, gate);
  }
  bool has(const Cid& cid) override { return store.has(cid); }
  bool isWhole() override {
    whole = store.db->isWhole.askNumber(image).orDefault(0) > 0;
    return whole;
  }
  void finish() override {
    store.finish(image);
    whole = true;
  }

 private:
  ImageStore& store;
  const uint64_t image;
  const kj::AutoCloseFd lock;
  kj::Maybe<Gate&> gate;
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
                       Logger& logger, Access access, Rest newRest)
    : folderPath(kj::str(path)), maxBytes(maxBytes), clock(clock), logger(logger),
      rest(kj::mv(newRest)), folder(openPrivateFolder(path)),
      db(Database::open(folder, path, access, logger, rest)), batch(kj::heap<Batch>()) {}

ImageStore::~ImageStore() noexcept(false) {}

void ImageStore::sleepFor(kj::Duration time) { usleep(useconds_t(time / kj::MICROSECONDS)); }

uint64_t ImageStore::now() const {
  return uint64_t(kj::max((clock.now() - kj::UNIX_EPOCH) / kj::SECONDS, 0));
}

kj::Maybe<kj::Array<const kj::byte>> ImageStore::find(const Cid& cid) {
  return findFor(NO_IMAGE, cid, nullptr);
}

void ImageStore::put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) {
  putFor(NO_IMAGE, cid, block, nullptr);
}

bool ImageStore::has(const Cid& cid) {
  return batch->find(cid) != nullptr || db->findBlock(cid) != nullptr;
}

kj::Maybe<kj::Array<const kj::byte>> ImageStore::findFor(uint64_t image, const Cid& cid,
                                                         kj::Maybe<Gate&> gate) {
  KJ_IF_MAYBE(block, batch->find(cid)) {
    auto bytes = kj::heapArray<const kj::byte>(*block);
    if (image != NO_IMAGE) addToBatch(image, cid, bytes, Batch::FOUND, gate);
    return kj::mv(bytes);
  }
  KJ_IF_MAYBE(row, db->findBlock(cid)) {
    auto checked = check(cid, db->read(row->id));
    KJ_IF_MAYBE(bytes, checked) {
      if (image != NO_IMAGE) {
        addToBatch(image, cid, *bytes, Batch::FOUND, gate);
      } else if (row->used + USE_SECONDS < now()) {
        noteUsed(row->id);
      }
    }
    return checked;
  }
  return nullptr;
}

kj::Maybe<kj::Array<const kj::byte>> ImageStore::check(
    const Cid& cid, kj::Maybe<kj::Array<const kj::byte>> content) {
  KJ_IF_MAYBE(bytes, content) {
    if (cid.isOf(*bytes)) return kj::mv(*bytes);
  } else {
    return nullptr;  // another process has just removed it
  }
  logger.log(LogLevel::WARNING, db->readOnly ? "a block in the store is damaged"_kj
                 : "a block in the store is damaged, and does not stay"_kj,
             {{"folder", kj::str(folderPath)}, {"block", cid.toText()}});
  auto problem = tryNow([&]() {
    SqliteTransaction transaction(db->file);
    db->removeIfDamaged(cid);
    transaction.commit();
  });
  if (problem != nullptr) batch->addDamaged(cid);
  return nullptr;
}

kj::Maybe<kj::Array<const kj::byte>> ImageStore::findShared(const Cid& cid) {
  KJ_IF_MAYBE(block, batch->find(cid)) return kj::heapArray<const kj::byte>(*block);
  if (findSharedSize(cid) == nullptr) return nullptr;
  KJ_IF_MAYBE(row, db->findBlock(cid)) return check(cid, db->read(row->id));
  return nullptr;
}

kj::Maybe<uint64_t> ImageStore::findSharedSize(const Cid& cid) {
  KJ_IF_MAYBE(block, batch->find(cid)) return block->size();
  return db->sharedSize.askNumber(cid.getBytes());
}

void ImageStore::putFor(uint64_t image, const Cid& cid, kj::ArrayPtr<const kj::byte> block,
                        kj::Maybe<Gate&> gate) {
  if (block.size() > MAX_BLOCK_BYTES) {
    kj::throwFatalException(badInput(kj::str(cid.toText(), ": a block of ", block.size(),
                                             " bytes; the limit is ", MAX_BLOCK_BYTES)));
  }
  if (image != NO_IMAGE) return addToBatch(image, cid, block, Batch::NEW, gate);
  tryNow([this]() { writeBatch(); });
  makeRoom(block.size());
  SqliteTransaction transaction(db->file);
  if (batch->isDamaged(cid)) db->removeIfDamaged(cid);
  KJ_IF_MAYBE(row, db->findBlock(cid)) {
    db->setUsed.run(now(), row->id);
  } else {
    db->add(cid, block, now());
  }
  transaction.commit();
}

void ImageStore::addToBatch(uint64_t image, const Cid& cid, kj::ArrayPtr<const kj::byte> block,
                            bool isNew, kj::Maybe<Gate&> gate) {
  KJ_IF_MAYBE(asked, gate) {
    if (!isCounted(image, cid)) asked->take(block.size());
  }
  makeBatchRoom(block.size());
  batch->add(image, cid, block, isNew, clock.now());
}

// Without waiting for other processes.
kj::Maybe<kj::Exception> ImageStore::tryNow(kj::FunctionParam<void()> action) {
  auto before = db->file.setBusyTimeout(SHORT_WAIT_MS);
  KJ_DEFER(db->file.setBusyTimeout(before));
  return kj::runCatchingExceptions([&]() { action(); });
}

// What another process keeps from being written now is written later, while it is not too much.
void ImageStore::makeBatchRoom(size_t bytes) {
  if (batch->hasRoom(bytes, clock.now())) return;
  if (batch->isTooMuch(bytes)) return writeBatch();
  if (clock.now() < notBefore) return;
  KJ_IF_MAYBE(e, tryNow([this]() { writeBatch(); })) {
    if (!isBusy(*e)) kj::throwFatalException(kj::mv(*e));
    notBefore = clock.now() + RETRY_TIME;
  }
}

// Nothing that is read hangs on it: where it cannot be written, it is forgotten.
void ImageStore::noteUsed(uint64_t block) {
  if (!batch->hasRoom(0, clock.now()) && clock.now() >= notBefore) {
    if (tryNow([this]() { writeBatch(); }) != nullptr) notBefore = clock.now() + RETRY_TIME;
  }
  if (batch->hasRoom(0, clock.now())) batch->addUsed(block, clock.now());
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
    if (db.isWhole.askNumber(image) == nullptr) {
      kj::throwFatalException(badInput(kj::str(folderPath, ": the image was removed meanwhile")));
    }
    db.setWhole.run(true, image);
  });
  batch->clear();
}

// What came of an image that is not whole is for whoever wants it next. While another process
// writes it waits, as ever; what cannot be written waits for others that keep the image, and they
// are told.
void ImageStore::letGo(uint64_t image) {
  auto& count = KJ_ASSERT_NONNULL(keepers.find(image));
  bool isLast = --count == 0;
  if (isLast) keepers.erase(image);
  KJ_IF_MAYBE(e, tryNow([this]() { writeBatch(); })) {
    if (!isLast || isBusy(*e) || !batch->has(image)) return;
    logger.log(LogLevel::WARNING, "blocks that came could not be written to the store",
               {{"folder", kj::str(folderPath)}, {"cause", kj::str(e->getDescription())}});
    batch->drop(image);
  }
}

kj::Promise<void> ImageStore::whenFree(kj::Timer& timer, kj::Function<void()> action) {
  for (auto end = timer.now() + LONG_WAIT_MS * kj::MILLISECONDS;;) {
    KJ_IF_MAYBE(e, tryNow([&]() { action(); })) {
      if (!isBusy(*e) || timer.now() >= end) kj::throwFatalException(kj::mv(*e));
    } else {
      co_return;
    }
    co_await timer.afterDelay(RETRY_TIME);
  }
}

// Shared by those that keep it, exclusive for who would remove it: nothing if that cannot be had.
// One that locks nothing, where there is no such file and none can be made.
kj::Maybe<kj::AutoCloseFd> ImageStore::lockImage(uint64_t image, Lock how) {
  auto name = holdName(image);
  int flags = db->readOnly ? O_RDONLY : O_RDWR | O_CREAT;
  int fd = openat(folder, name.cStr(), flags | O_CLOEXEC | O_NOFOLLOW, 0600);
  kj::AutoCloseFd file(fd);
  if (fd < 0 && errno == ENOENT && db->readOnly) return kj::mv(file);
  auto lock = wholeFile(how == Lock::SHARED ? F_RDLCK : F_WRLCK);
  if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0) return kj::mv(file);
  if (fd >= 0 && (errno == EAGAIN || errno == EACCES)) return nullptr;
  kj::throwFatalException(badInput(kj::str(folderPath, "/", name, ": cannot be made or locked (",
                                           strerror(errno), ")")));
}

bool ImageStore::isKept(uint64_t image) {
  int fd = openat(folder, holdName(image).cStr(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return false;
  kj::AutoCloseFd file(fd);
  auto lock = wholeFile(F_WRLCK);
  return fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

kj::Own<ImageStore::Kept> ImageStore::keep(const Cid& root, kj::Maybe<Gate&> gate) {
  return keepRow(root, gate);
}

// Under the content id of random bytes: that of no directory.
kj::Own<ImageStore::Kept> ImageStore::begin() {
  kj::byte bytes[DRAFT_PREFIX.size() + 16];
  memcpy(bytes, DRAFT_PREFIX.begin(), DRAFT_PREFIX.size());
  KJ_SYSCALL(getrandom(bytes + DRAFT_PREFIX.size(), 16, 0));
  auto cid = Cid::fromBytes(bytes);
  auto kept = keepRow(cid, nullptr);
  return kj::heap<Draft>(*this, requireImage(cid), kj::mv(kept));
}

// Best effort: the next collection takes what is left. The file goes first: after a kill between a
// row that is left is one more draft to collect, and a file would be nobody's. Where somebody else
// may keep an image it is the other way round (lockKnown()); nobody else knows a draft.
void ImageStore::dropDraft(uint64_t image) {
  tryNow([&]() {
    SqliteTransaction transaction(db->file);
    db->dropImage(image);
    unlinkat(folder, holdName(image).cStr(), 0);
    transaction.commit();
  });
}

// Of an image that is there, which then is kept without a word from who writes. Who removes one
// removes its row first and then its file, under the lock: the row tells whether this lock counts.
kj::Maybe<kj::AutoCloseFd> ImageStore::lockKnown(uint64_t image, const Cid& root) {
  auto lock = lockImage(image, Lock::SHARED);
  bool isStill = db->imageByCid.askNumber(root.getBytes()).orDefault(NO_IMAGE) == image;
  if (isStill) return lock;
  // This may have made it anew; the image's number never comes again.
  unlinkat(folder, holdName(image).cStr(), 0);
  return nullptr;
}

kj::Own<ImageStore::Kept> ImageStore::keepRow(const Cid& root, kj::Maybe<Gate&> gate) {
  auto image = db->imageByCid.askNumber(root.getBytes()).orDefault(NO_IMAGE);
  kj::Maybe<kj::AutoCloseFd> lock;
  if (image != NO_IMAGE) lock = lockKnown(image, root);
  if (lock == nullptr) {
    SqliteTransaction transaction(db->file);
    db->addImage.run(root.getBytes(), now(), now());
    image = requireImage(root);
    lock = lockImage(image, Lock::SHARED);
    transaction.commit();
  }
  KJ_IF_MAYBE(held, lock) {
    tryNow([&]() { db->setImageUsed.run(now(), image); });  // as in noteUsed()
    bool whole = db->isWhole.askNumber(image).orDefault(0) > 0;
    return kj::heap<KeptImage>(*this, image, kj::mv(*held), whole, gate);
  }
  failRemoved(root);
}

void ImageStore::failRemoved(const Cid& root) {
  kj::throwFatalException(kj::Exception(kj::Exception::Type::OVERLOADED, __FILE__, __LINE__,
      kj::str(folderPath, ": another process removes ", root.toText(), "; try again when it is "
              "done")));
}

// So that nobody removes it, or is about to: released with the result.
kj::AutoCloseFd ImageStore::requireStays(const Cid& root) {
  KJ_IF_MAYBE(lock, lockKnown(requireImage(root), root)) return kj::mv(*lock);
  failRemoved(root);
}

uint64_t ImageStore::requireImage(const Cid& root) {
  KJ_IF_MAYBE(id, db->imageByCid.askNumber(root.getBytes())) return *id;
  kj::throwFatalException(badInput(kj::str("there is no image ", root.toText(), " in ",
                                           folderPath)));
}

kj::Maybe<StoredImage> ImageStore::findImage(kj::StringPtr nameOrCid) {
  tryNow([this]() { writeBatch(); });
  SqliteSnapshot snapshot(db->file);
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
    image->inUse = isKept(id);
    return kj::mv(*image);
  }
  return nullptr;
}

kj::Array<StoredImage> ImageStore::list() {
  tryNow([this]() { writeBatch(); });
  SqliteSnapshot snapshot(db->file);
  kj::Vector<StoredImage> images;
  for (auto id: db->imageIds()) {
    KJ_IF_MAYBE(image, findById(id)) images.add(kj::mv(*image));
  }
  return images.releaseAsArray();
}

void ImageStore::setName(const Cid& root, kj::StringPtr name) {
  requireImageName(name);
  auto lock = requireStays(root);
  SqliteTransaction transaction(db->file);
  db->dropName.run(name);
  db->nameImage.run(name, requireImage(root));
  transaction.commit();
}

kj::Array<Cid> ImageStore::wholeRoots(size_t most) { return db->wholeRoots(most); }

void ImageStore::setRest(Rest newRest) { rest = kj::mv(newRest); }

Collected ImageStore::remove(const Cid& root) {
  tryNow([this]() { writeBatch(); });
  Removal removal(*this, 0, true);
  if (!removal.takeImage(requireImage(root))) {
    kj::throwFatalException(badInput(kj::str(root.toText(), " is in use by a process that runs; "
                                             "end that one first")));
  }
  return removal.finish();
}

Collected ImageStore::collect(uint64_t bytes) {
  tryNow([this]() { writeBatch(); });
  Removal removal(*this, bytes, true);
  removal.takeLongestUnused();
  return removal.finish();
}

StoreCheck ImageStore::verify(kj::Function<void(uint64_t, uint64_t)> progress) {
  tryNow([this]() { writeBatch(); });
  StoreCheck result;
  result.readOnly = db->readOnly;
  db->checkStructure();
  auto all = db->blockCount.askNumber().orDefault(0);
  uint64_t last = 0;
  for (auto next = db->nextBlock(last); next != nullptr; next = db->nextBlock(last)) {
    auto& block = KJ_ASSERT_NONNULL(next);
    last = block.id;
    ++result.blocks;
    result.bytes += block.size;
    auto content = db->read(block.id);
    if (content != nullptr && check(block.cid, kj::mv(content)) == nullptr) {
      result.damaged.add(kj::mv(block.cid));
    }
    progress(kj::min(result.blocks, all), all);
  }
  for (auto& image: list()) {
    // One of which nothing came is nobody's concern.
    bool isPart = !image.whole && (image.blocks > 0 || image.pinned);
    if (isPart) result.incomplete.add(kj::mv(image.cid));
  }
  if (!db->readOnly && db->sum.askNumber() != db->total.askNumber()) {
    SqliteTransaction transaction(db->file);
    db->correctTotal();
    transaction.commit();
  }
  return result;
}

uint64_t ImageStore::writtenBytes() { return db->total.askNumber().orDefault(0); }

uint64_t ImageStore::getBytes() { return writtenBytes() + batch->getNewBytes(); }

}  // namespace ww
