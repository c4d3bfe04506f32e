#pragma once
// The tables and statements under ImageStore. A private header of image-store.c++.

#include <kj/vector.h>
#include <ww/node/image-store.h>

namespace ww {

// So long other processes that write are waited for; on an event loop that others need, so long
// at a time.
constexpr int LONG_WAIT_MS = 30'000, SHORT_WAIT_MS = 10;

// The file whose lock keeps an image.
inline kj::String holdName(uint64_t image) { return kj::str("keep-", image); }

// A statement that is used again and again.
class SqliteQuery {
 public:
  SqliteQuery(SqliteFile& file, kj::StringPtr sql): statement(file, sql) {}

  template <typename... Values>
  void run(const Values&... values) {
    ask([](SqliteStatement&) {}, values...);
  }

  // The first column of the first row.
  template <typename... Values>
  kj::Maybe<uint64_t> askNumber(const Values&... values) {
    kj::Maybe<uint64_t> result;
    ask([&](SqliteStatement& row) {
      if (result == nullptr) result = row.getNumber(0);
    }, values...);
    return result;
  }

  // `onRow` with each row.
  template <typename OnRow, typename... Values>
  void ask(OnRow&& onRow, const Values&... values) {
    KJ_DEFER(statement.reset());
    int parameter = 0;
    (statement.bind(++parameter, values), ...);
    while (statement.step()) onRow(statement);
  }

 private:
  SqliteStatement statement;
};

class ImageStore::Database {
 public:
  struct Block {
    Cid cid;
    uint64_t id, size, used;
  };

  // `folder` is that at `path`.
  static kj::Own<Database> open(int folder, kj::StringPtr path, Access access, Logger& logger,
                                Rest& rest);
  static SqliteFile openBeside(kj::StringPtr path);  // once it is open; to read, on any thread
  Database(SqliteFile opened, bool readOnly);

  kj::Maybe<Block> findBlock(const Cid& cid);
  kj::Maybe<Block> nextBlock(uint64_t after);
  kj::Maybe<kj::Array<const kj::byte>> read(uint64_t block);
  kj::Maybe<StoredImage> readImage(uint64_t image);
  kj::Array<uint64_t> imageIds();     // without drafts
  kj::Array<Cid> wholeRoots(uint64_t most);
  kj::Array<uint64_t> unpinnedIds();  // drafts, and then the longest unused first
  // Blocks of no image, the longest unused first: MAX_ORPHANS or all that there are.
  kj::Array<uint64_t> orphans();
  static constexpr uint64_t MAX_ORPHANS = 65536;
  kj::Array<uint64_t> members(uint64_t image);  // some of its blocks

  // How new the newest record of a key's name was.
  kj::Maybe<IpnsMemory::Seen> findName(kj::ArrayPtr<const kj::byte> key);

  // Within a transaction.
  void setName(kj::ArrayPtr<const kj::byte> key, const IpnsMemory::Seen& seen, uint64_t now);
  void keepNames(uint64_t most);  // the longest unused go
  uint64_t add(const Cid& cid, kj::ArrayPtr<const kj::byte> block, uint64_t now);
  void remove(uint64_t block, uint64_t size);
  void removeIfDamaged(const Cid& cid);  // the images that had it are whole no more
  void dropImage(uint64_t image);
  void correctTotal();

  // A transaction; what was written until its end is on the disk when this returns.
  template <typename Action>
  void commitDurably(Action&& action) {
    file.run("PRAGMA synchronous=FULL");
    KJ_DEFER(file.tryRun("PRAGMA synchronous=NORMAL"));
    SqliteTransaction transaction(file);
    action(*this);
    transaction.commit();
  }

  // Of the file, to be used again before it grows.
  uint64_t freeBytes();

  // Throws where SQLite finds its file damaged.
  void checkStructure();

 private:
  static kj::Own<Database> openMade(int folder, kj::StringPtr path);
  static kj::Own<Database> openToChange(int folder, kj::StringPtr path, Rest& rest);
  static kj::Own<Database> openToRead(int folder, kj::StringPtr path);
  kj::Maybe<Block> readBlock(SqliteQuery& query, auto value);
  template <typename... Values>
  kj::Array<uint64_t> numbers(SqliteQuery& query, const Values&... values);

 public:
  const bool readOnly;
  SqliteFile file;
  SqliteQuery total, blockCount, setUsed, addMember, sharedSize, isWhole, setWhole;
  SqliteQuery addImage, imageByCid, imageByName, setImageUsed, nameImage, dropName, setPinned;
  SqliteQuery dropMember, orphanSize, sum;  // of a block, while it is of no image; of all blocks
  SqliteQuery isPinned, isCounted;          // the latter: ImageStore::Gate need not be asked

 private:
  SqliteQuery byCid, byId, content, addBlock, addContent, addTotal, subtractTotal, dropBlock;
  SqliteQuery dropContent, dropMembers, dropMembersOfImage, dropRow, spoil;
  SqliteQuery image, imageCounts, images, wholes, unpinned, orphanRows, memberRows;
  SqliteQuery nameByKey, putName, nameCount, dropNames;
};

}  // namespace ww
