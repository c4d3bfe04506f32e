// What ImageStore has room for, what goes to make it, and what is pinned and stays.
#include <ww/node/image-store.h>

#include <fcntl.h>
#include <atomic>
#include <kj/debug.h>
#include <kj/thread.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/base/signals.h>
#include <ww/node/image-batch.h>
#include <ww/node/image-removal.h>

namespace ww {
namespace {

// So much of the bound is made free at once: not for every block anew.
constexpr uint64_t SLACK_PART = 16;

// Begins at the pinned images: where there are none it costs nothing, and it walks no others that
// have a block, too.
constexpr kj::StringPtr IS_PINNED = "block.id IN (SELECT block FROM member WHERE image IN "
    "(SELECT id FROM image WHERE pinned = 1))"_kj;

}  // namespace

// Counts what pinned images have, on a thread that this waits for, and ends, as it goes.
class ImageStore::PinCount final {
 public:
  PinCount(kj::StringPtr folder, kj::Array<Cid> roots)
      : folder(kj::str(folder)), roots(kj::mv(roots)),
        counted(kj::newPromiseAndCrossThreadFulfiller<PinnedBytes>()),
        thread([this]() noexcept { run(); }) {}
  ~PinCount() noexcept(false) { isEnough = true; }
  KJ_DISALLOW_COPY_AND_MOVE(PinCount);

  kj::Promise<PinnedBytes> take() { return kj::mv(counted.promise); }

 private:
  const kj::String folder;
  const kj::Array<Cid> roots;
  std::atomic<bool> isEnough = false;
  kj::PromiseCrossThreadFulfillerPair<PinnedBytes> counted;
  kj::Thread thread;  // the last: it uses the others

  void run() {
    blockSignals();
    counted.fulfiller->rejectIfThrows([this]() { counted.fulfiller->fulfill(count()); });
  }

  PinnedBytes count() {
    auto file = Database::openBeside(folder);
    file.stopWhen(isEnough);
    SqliteSnapshot snapshot(file);
    PinnedBytes result;
    SqliteQuery pinned(file, kj::str("SELECT coalesce(sum(size), 0) FROM block WHERE ",
                                     IS_PINNED));
    result.pinned = pinned.askNumber().orDefault(0);
    SqliteQuery query(file, kj::str("SELECT coalesce(max(pinned), 0), coalesce(max(whole), 0), "
        "count(block.id), coalesce(sum(size), 0), coalesce(sum(CASE WHEN ", IS_PINNED,
        " THEN 0 ELSE size END), 0) FROM image LEFT JOIN member ON member.image = image.id "
        "LEFT JOIN block ON block.id = member.block WHERE image.cid = ?"));
    result.images = KJ_MAP(root, roots) {
      CountedImage image;
      query.ask([&](SqliteStatement& row) {
        image.pinned = row.getNumber(0) > 0;
        image.whole = row.getNumber(1) > 0;
        image.blocks = row.getNumber(2);
        image.bytes = row.getNumber(3);
        image.more = row.getNumber(4);
      }, root.getBytes());
      return image;
    };
    return result;
  }
};

void ImageStore::setPinned(const Cid& root, bool pinned) {
  auto lock = requireStays(root);
  tryNow([this]() { writeBatch(); });  // that others' blocks cannot be written is for them to know
  db->commitDurably([&](Database& db) { db.setPinned.run(pinned, requireImage(root)); });
}

bool ImageStore::isPinned(const Cid& root) {
  return db->isPinned.askNumber(root.getBytes()).orDefault(0) > 0;
}

bool ImageStore::isCounted(uint64_t image, const Cid& cid) {
  return batch->has(image, cid) || db->isCounted.askNumber(cid.getBytes(), image) != nullptr;
}

kj::Promise<ImageStore::PinnedBytes> ImageStore::countPinned(kj::Array<Cid> roots) {
  tryNow([this]() { writeBatch(); });
  auto count = kj::heap<PinCount>(folderPath, kj::mv(roots));
  auto counted = count->take();
  return counted.attach(kj::mv(count));
}

// What the file may yet take, of the disk's and of its own free pages.
uint64_t ImageStore::getDiskRoom() {
  struct statvfs disk;
  if (fstatvfs(folder, &disk) < 0) return UINT64_MAX - DISK_RESERVE;
  return uint64_t(disk.f_bavail) * disk.f_frsize + db->freeBytes();
}

bool ImageStore::hasRoom(uint64_t bytes) {
  return getBytes() + bytes <= maxBytes && getDiskRoom() >= DISK_RESERVE + bytes;
}

// To remove something takes room, too: the log of what is changed, and the file that grows by it.
void ImageStore::makeDiskRoom(uint64_t bytes) {
  auto left = getDiskRoom(), needed = DISK_RESERVE + bytes;
  if (left >= needed) return;
  auto all = writtenBytes();
  Removal(*this, all - kj::min(all, needed - left), false).takeLongestUnused();
  left = getDiskRoom();
  if (left >= needed) return;
  kj::throwFatalException(badInput(kj::str(folderPath, ": the disk is nearly full: of ", left >> 20,
      " MiB that are free, ", DISK_RESERVE >> 20, " MiB stay so, without which nothing could be "
      "removed; make room on it, or remove images (`ww image ls`, `ww image rm`, `ww image gc`)")));
}

// An image of which nothing came, and of which nobody wants to know, goes when nobody keeps it any
// more: as if it had not been asked for. Under a lock that nobody else has; the row, then the file.
void ImageStore::dropIfNothing(uint64_t image, int lock) {
  tryNow([&]() {
    struct flock alone;
    memset(&alone, 0, sizeof(alone));
    alone.l_type = F_WRLCK;
    alone.l_whence = SEEK_SET;
    bool isAny = batch->has(image) || db->members(image).size() > 0;
    if (isAny || fcntl(lock, F_OFD_SETLK, &alone) < 0) return;
    KJ_IF_MAYBE(row, db->readImage(image)) {
      if (row->whole || row->pinned || row->name != nullptr || row->blocks > 0) return;
      SqliteTransaction transaction(db->file);
      db->dropImage(image);
      transaction.commit();
      unlinkat(folder, holdName(image).cStr(), 0);
    }
  });
}

void ImageStore::makeRoom(uint64_t bytes) {
  if (bytes == 0) return;
  makeDiskRoom(bytes);
  if (writtenBytes() + bytes <= maxBytes) return;
  auto slack = maxBytes / SLACK_PART;
  Removal(*this, maxBytes - kj::min(maxBytes, bytes + slack), false).takeLongestUnused();
  auto left = writtenBytes();
  if (left + bytes <= maxBytes) return;
  kj::throwFatalException(badInput(kj::str(folderPath, ": the store is full: ", left, " bytes of ",
      maxBytes, " are of images that are pinned or in use; see `ww image ls`, unpin or remove some "
      "(`ww image unpin`, `ww image rm`), or allow more (--store-size)")));
}

}  // namespace ww
