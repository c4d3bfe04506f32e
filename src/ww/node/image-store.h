#pragma once
// The local store of images: blocks under their content ids, in `blocks.db` of a folder of its own,
// a SQLite database that any number of processes have open at once.
//
// - A block is there whole or not at all, whatever kills the process at whatever instruction
//   (WAL). What was there when finish() and setPinned() return is on the disk; until then a kill
//   may take the last blocks that were put, at most a batch (BATCH_BYTES, BATCH_BLOCKS; four while
//   another process writes), and a loss of power more of them. A block is checked as it is read: a
//   rotten one goes, with a line in the log, and is fetched again.
// - An image's blocks are written some at a time, since a transaction for each costs several times
//   what a small one has. Here they are found before that, and other processes see them after. One
//   that came and cannot be written is told of at a later put(), and by finish() at the latest.
// - An image is a root, with the blocks that were put or found while it was kept. Its blocks go
//   when it does, and no other image has them. Which blocks those are is written down as they come:
//   nothing has to be walked to collect.
// - The bytes of all blocks are bounded. What goes to make room: blocks of no image and then whole
//   images, the longest unused first; never one that is pinned, or that any process keeps open (a
//   lock on a file, which goes with its process). While one is being removed, nobody keeps, pins or
//   names it: that fails with type OVERLOADED.
// - It also keeps how new the newest record was of each name of IPNS: of the MAX_NAMES that were
//   looked for last.
//
// Why all blocks are in the database, and none in files: docs/images.md. Waits for the disk, on the
// thread that it lives on, and for another process that writes, whose turns are short: nobody waits
// for who reads, and what reads does not wait, but for a moment to write what waits here; find() of
// an image that is not whole as put() does, once too much waits. Where another does not end,
// exceptions are of type OVERLOADED. What may wait longer than an event loop should: whenFree().
//
// Tests: image-store-test.c++, image-store-busy-test.c++, image-store-kill-test.c++,
// image-store-pins-test.c++.

#include <kj/function.h>
#include <kj/io.h>
#include <kj/map.h>
#include <kj/timer.h>
#include <ww/image/block.h>
#include <ww/image/ipns.h>
#include <ww/node/sqlite.h>

namespace ww {

constexpr uint64_t DEFAULT_STORE_BYTES = uint64_t(16) << 30;

// Of blocks that wait to be written: their bytes, how often one was put or found, and how long
// before the next one is. They are in memory, and hold up their event loop as they are written.
constexpr size_t BATCH_BYTES = 4 << 20;
constexpr size_t BATCH_BLOCKS = 256;
constexpr kj::Duration BATCH_TIME = 1 * kj::SECONDS;

struct StoredImage {
  Cid cid;
  kj::Maybe<kj::String> name = nullptr;
  bool pinned = false;
  bool whole = false;          // else what was fetched of it
  bool inUse = false;          // some process keeps it
  uint64_t blocks = 0, bytes = 0;
  uint64_t added = 0, used = 0;  // seconds since 1970
};

// What a collection took.
struct Collected {
  uint64_t images = 0, blocks = 0, bytes = 0;
};

struct StoreCheck {
  uint64_t blocks = 0, bytes = 0;         // that were looked at
  kj::Vector<Cid> damaged;                // and are gone now, but where it was readOnly
  bool readOnly = false;                  // the store could not be changed
  kj::Vector<Cid> incomplete;             // images that miss some, for that or another reason
};

class ImageStore final: public BlockStore {
 public:
  static constexpr kj::uint MAX_NAMES = 1024;
  static constexpr uint64_t DISK_RESERVE = uint64_t(64) << 20;  // that stay free

  // For whom only reads: what is there is read at once, also while another process opens it; and
  // where nothing can be written (a disk that is read-only, or full), with a warning in the log.
  enum class Access { CHANGE, READ };

  // How it lets others have their turn: by sleeping, or as this says.
  using Rest = kj::Function<void(kj::Duration took)>;

  // Throws, naming the file and what to do, where it cannot be used; of type OVERLOADED where
  // another process opens it for longer than 30 s, which READ waits for only to make what is not
  // there. The folder is made as openPrivateFolder() makes it. References outlive it.
  ImageStore(kj::StringPtr folder, uint64_t maxBytes, const kj::Clock& clock, Logger& logger,
             Access access = Access::CHANGE, Rest rest = sleepFor);
  ~ImageStore() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ImageStore);

  // Blocks that may be of no image: the next collection takes those. What is there is found, also
  // where the disk takes nothing more.
  kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) override;
  void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) override;
  bool has(const Cid& cid) override;

  // Whether an image has it; what peers are served. Does not count as use.
  kj::Maybe<kj::Array<const kj::byte>> findShared(const Cid& cid);
  kj::Maybe<uint64_t> findSharedSize(const Cid& cid);

  // An image while it is kept: what is put or found through it is the image's, and nothing of it is
  // collected. Not to outlive the store.
  class Kept: public BlockStore {
   public:
    virtual bool isWhole() = 0;  // until a block of it is found to be damaged
    virtual void finish() = 0;   // all of it is there: on the disk once this returns
  };

  // Is asked before a block is an image's that neither this image nor a pinned one has, and throws
  // to refuse it. May be asked for one that a pinned image has, where very many images do.
  class Gate {
   public:
    virtual void take(size_t bytes) = 0;
  };
  kj::Own<Kept> keep(const Cid& root, kj::Maybe<Gate&> gate = nullptr);  // which outlives it

  // Has `action`, which may be done in part and then again, wait its turn among the processes that
  // write without keeping this loop. As long as it would wait by itself. Not to outlive the store.
  static constexpr kj::Duration RETRY_TIME = 100 * kj::MILLISECONDS;
  kj::Promise<void> whenFree(kj::Timer& timer, kj::Function<void()> action);

  // One whose root is not known yet, for as long as this is held: then nothing is left of it but
  // the blocks, which are those of the images that were given them meanwhile.
  kj::Own<Kept> begin();

  // By name, or by the text of a content id.
  kj::Maybe<StoredImage> findImage(kj::StringPtr nameOrCid);
  kj::Array<StoredImage> list();
  kj::Array<Cid> wholeRoots(size_t most);  // the first of them, as list() has them

  // Of images that are there. A name that another image has moves. Throws for what is no name:
  // requireImageName().
  void setName(const Cid& root, kj::StringPtr name);
  void setPinned(const Cid& root, bool pinned);
  bool isPinned(const Cid& root);

  // What pinned images take, and what of others is here; each block counts once, whichever images
  // share it. As it is at one moment. Looks at their blocks, on a thread of its own; dropping the
  // promise ends that.
  struct CountedImage {
    bool pinned = false, whole = false;
    uint64_t blocks = 0, bytes = 0;
    uint64_t more = 0;  // that no pinned image has
  };
  struct PinnedBytes {
    uint64_t pinned = 0;             // of all pinned images
    kj::Array<CountedImage> images;  // as `roots` are; of one that is not there, nothing
  };
  kj::Promise<PinnedBytes> countPinned(kj::Array<Cid> roots);

  // Its blocks go as well, where no other image has them. Throws while a process keeps it.
  Collected remove(const Cid& root);

  // Until all blocks together have no more than that.
  Collected collect(uint64_t bytes);

  // These two take a step at a time, and rest between two for as long as one took, so that others
  // get to write.
  void setRest(Rest rest);

  // Looks at every block. `progress` is told of each, with how many there are.
  StoreCheck verify(kj::Function<void(uint64_t done, uint64_t all)> progress);

  // Of IPNS: makeNames() has them as who resolves a name wants them. On the disk once this returns.
  kj::Maybe<IpnsMemory::Seen> findSeen(const IpnsName& name);
  void setSeen(const IpnsName& name, const IpnsMemory::Seen& seen);
  kj::Own<IpnsMemory> makeNames(kj::Timer& timer);  // both outlive it

  uint64_t getBytes();  // of all blocks, those of a batch too
  bool hasRoom(uint64_t bytes);  // without anything having to go

 private:
  class Database;
  class Batch;
  class KeptImage;
  class Draft;
  class Names;

  void putFor(uint64_t image, const Cid& cid, kj::ArrayPtr<const kj::byte> block,
              kj::Maybe<Gate&> gate);
  kj::Maybe<kj::Array<const kj::byte>> findFor(uint64_t image, const Cid& cid,
                                               kj::Maybe<Gate&> gate);
  kj::Maybe<kj::Array<const kj::byte>> check(const Cid& cid,
                                             kj::Maybe<kj::Array<const kj::byte>> content);
  enum class Lock { SHARED, EXCLUSIVE };
  kj::Maybe<kj::AutoCloseFd> lockImage(uint64_t image, Lock how);
  kj::Maybe<kj::AutoCloseFd> lockKnown(uint64_t image, const Cid& root);
  bool isKept(uint64_t image);
  bool isCounted(uint64_t image, const Cid& cid);
  kj::Own<Kept> keepRow(const Cid& root, kj::Maybe<Gate&> gate);
  void dropDraft(uint64_t image);
  void dropIfNothing(uint64_t image, int lock);
  void addToBatch(uint64_t image, const Cid& cid, kj::ArrayPtr<const kj::byte> block,
                  bool isNew, kj::Maybe<Gate&> gate);
  kj::Maybe<kj::Exception> tryNow(kj::FunctionParam<void()> action);
  void makeBatchRoom(size_t bytes);
  void noteUsed(uint64_t block);
  void writeBatch();
  uint64_t writtenBytes();
  void finish(uint64_t image);
  void letGo(uint64_t image);
  using Keepers = kj::HashMap<uint64_t, kj::uint>;
  uint64_t requireImage(const Cid& root);
  kj::Maybe<StoredImage> findById(uint64_t image);
  class Removal;
  class PinCount;
  uint64_t getDiskRoom();
  void makeDiskRoom(uint64_t bytes);
  [[noreturn]] void failRemoved(const Cid& root);
  kj::AutoCloseFd requireStays(const Cid& root);
  void makeRoom(uint64_t bytes);
  uint64_t now() const;
  static void sleepFor(kj::Duration time);

  const kj::String folderPath;
  const uint64_t maxBytes;
  const kj::Clock& clock;
  Logger& logger;
  Rest rest;
  kj::AutoCloseFd folder;
  kj::Own<Database> db;
  kj::Own<Batch> batch;
  Keepers keepers;  // by image: how many in this process
  kj::Date notBefore = kj::UNIX_EPOCH;  // the batch is tried again, that could not be written
};

// 1 to 100 of letters, digits and `._-:@`, not beginning with one of those, and no content id.
// Throws, naming it.
void requireImageName(kj::StringPtr name);

}  // namespace ww
