#include <ww/node/image-database.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>

namespace ww {
namespace {

constexpr kj::StringPtr FILE_NAME = "blocks.db"_kj;
constexpr kj::StringPtr LOCK_NAME = "open.lock"_kj;
constexpr kj::StringPtr APPLICATION_ID = "2004304203"_kj;  // "wwIK"
constexpr kj::StringPtr SCHEMA_VERSION = "1"_kj;
constexpr kj::StringPtr ADVICE = "move it away; what it held can be fetched or added again"_kj;

constexpr kj::StringPtr BUSY =
    "other processes write to this file, and nobody else can; try again when they are done"_kj;

constexpr size_t SEQUENCE_BYTES = 8;

// Content in a table of its own: SQLite writes a row as a whole.
constexpr kj::StringPtr SCHEMA =
    "CREATE TABLE block (id INTEGER PRIMARY KEY AUTOINCREMENT, cid BLOB NOT NULL UNIQUE, "
    "size INTEGER NOT NULL, used INTEGER NOT NULL);"
    "CREATE INDEX block_used ON block (used);"
    "CREATE TABLE content (block INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
    "CREATE TABLE image (id INTEGER PRIMARY KEY AUTOINCREMENT, cid BLOB NOT NULL UNIQUE, "
    "name TEXT UNIQUE, pinned INTEGER NOT NULL, whole INTEGER NOT NULL, added INTEGER NOT NULL, "
    "used INTEGER NOT NULL);"
    "CREATE TABLE member (image INTEGER NOT NULL, block INTEGER NOT NULL, "
    "PRIMARY KEY (image, block)) WITHOUT ROWID;"
    "CREATE INDEX member_block ON member (block);"
    "CREATE TABLE total (bytes INTEGER NOT NULL);"
    "INSERT INTO total VALUES (0);"_kj;

// How new records of IPNS were that were seen: a sequence has 64 bits, and is 8 bytes here. Was not
// in the first files of this version, and is passed over by who does not know it.
constexpr kj::StringPtr NAMES =
    "CREATE TABLE IF NOT EXISTS name (key BLOB PRIMARY KEY, sequence BLOB NOT NULL, "
    "until INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID"_kj;

SqliteOptions optionsOf(int busyTimeoutMs) {
  SqliteOptions options;
  options.maxValueBytes = MAX_BLOCK_BYTES + (1 << 16);
  options.busyTimeoutMs = busyTimeoutMs;
  options.busy = BUSY;
  options.advice = ADVICE;
  return options;
}

kj::String ask(SqliteFile& file, kj::StringPtr sql) {
  return file.ask(sql).orDefault(kj::String());
}

// One that nobody made yet, or that somebody makes.
bool isEmpty(SqliteFile& file) {
  return ask(file, "PRAGMA user_version") == "0" && ask(file, "PRAGMA application_id") == "0" &&
      ask(file, "SELECT count(*) FROM sqlite_schema") == "0";
}

void make(SqliteFile& file) {
  file.run(kj::str("PRAGMA page_size=16384; PRAGMA auto_vacuum=INCREMENTAL; "
                   "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE; ", SCHEMA,
                   "PRAGMA application_id=", APPLICATION_ID, "; PRAGMA user_version=",
                   SCHEMA_VERSION, "; COMMIT"));
}

SqliteFile openFile(kj::StringPtr path, bool readOnly) {
  auto options = optionsOf(LONG_WAIT_MS);
  options.readOnly = readOnly;
  return SqliteFile(path, options);
}

// One that was made.
SqliteFile setUp(SqliteFile file, bool readOnly) {
  auto version = ask(file, "PRAGMA user_version"), id = ask(file, "PRAGMA application_id");
  if (id != APPLICATION_ID) {
    file.refuse(kj::str("this file is another program's; ", ADVICE));
  } else if (version != SCHEMA_VERSION) {
    file.refuse(kj::str("this file is of another version of ww (its version is ", version,
                        ", this one's is ", SCHEMA_VERSION, "); run that one, or ", ADVICE));
  }
  file.run("PRAGMA synchronous=NORMAL; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; "
           "PRAGMA wal_autocheckpoint=2048; PRAGMA journal_size_limit=67108864");
  if (!readOnly) file.run(NAMES);
  return file;
}

[[noreturn]] void failErrno(kj::StringPtr path, kj::StringPtr name) {
  kj::throwFatalException(badInput(kj::str(path, "/", name, ": cannot be opened for writing (",
                                           strerror(errno), ")")));
}

void requireOwn(kj::StringPtr name, const struct stat& info) {
  if (!S_ISREG(info.st_mode)) {
    kj::throwFatalException(badInput(kj::str(name, ": this is no plain file; ", ADVICE)));
  }
  if (info.st_uid != geteuid() || (info.st_mode & 022) != 0) {
    kj::throwFatalException(badInput(kj::str(
        name, ": others may write to this file; if nobody did, run: chmod 600 ", name)));
  }
}

// One process at a time makes what is not there. It takes a moment, but of one that is stopped.
kj::AutoCloseFd waitForTurn(int folder, kj::StringPtr path, ImageStore::Rest& rest) {
  int raw = openat(folder, LOCK_NAME.cStr(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (raw < 0) failErrno(path, LOCK_NAME);
  kj::AutoCloseFd lock(raw);
  for (int waited = 0; flock(lock, LOCK_EX | LOCK_NB) < 0;) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) failErrno(path, LOCK_NAME);
    if (waited >= LONG_WAIT_MS) {
      kj::throwFatalException(kj::Exception(kj::Exception::Type::OVERLOADED, __FILE__, __LINE__,
          kj::str(path, "/", LOCK_NAME, ": another process has had this file for ",
                  LONG_WAIT_MS / 1000, " s, and may be stopped: `fuser` says which one it is; "
                  "let it go on, or end it")));
    }
    rest(SHORT_WAIT_MS * kj::MILLISECONDS);
    waited += SHORT_WAIT_MS;
  }
  return lock;
}

}  // namespace

kj::Own<ImageStore::Database> ImageStore::Database::open(int folder, kj::StringPtr path,
                                                         Access access, Logger& logger,
                                                         Rest& rest) {
  kj::Own<Database> opened;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
    if (access == Access::READ) opened = openMade(folder, path);
    if (opened.get() == nullptr) opened = openToChange(folder, path, rest);
  })) {
    // What is wrong with the file itself is wrong for who reads, too.
    bool mayRead = access == Access::READ && e->getType() != kj::Exception::Type::OVERLOADED;
    bool isRead = mayRead && kj::runCatchingExceptions([&]() {
      opened = openToRead(folder, path);
    }) == nullptr;
    if (!isRead) kj::throwFatalException(kj::mv(*e));
    logger.log(LogLevel::WARNING, "the store cannot be written, and is read as it is",
               {{"cause", kj::str(e->getDescription())}});
  }
  return opened;
}

// Without a turn: nothing where there is nothing yet, or not all.
kj::Own<ImageStore::Database> ImageStore::Database::openMade(int folder, kj::StringPtr path) {
  struct stat info;
  auto name = kj::str(path, "/", FILE_NAME);
  if (fstatat(folder, FILE_NAME.cStr(), &info, AT_SYMLINK_NOFOLLOW) < 0) return {};
  requireOwn(name, info);
  if (info.st_size == 0) return {};
  if (faccessat(folder, ".", W_OK, 0) < 0 || faccessat(folder, FILE_NAME.cStr(), W_OK, 0) < 0) {
    failErrno(path, FILE_NAME);
  }
  auto file = openFile(name, false);
  if (isEmpty(file)) return {};
  return kj::heap<Database>(kj::mv(file), false);
}

kj::Own<ImageStore::Database> ImageStore::Database::openToChange(int folder, kj::StringPtr path,
                                                                 Rest& rest) {
  auto turn = waitForTurn(folder, path, rest);
  struct stat info;
  auto name = kj::str(path, "/", FILE_NAME);
  if (fstatat(folder, FILE_NAME.cStr(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno != ENOENT) failErrno(path, FILE_NAME);
    // Made private here; not opened again, since to close it would drop SQLite's locks on it.
    int raw = openat(folder, FILE_NAME.cStr(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (raw < 0) failErrno(path, FILE_NAME);
    KJ_SYSCALL(fstat(raw, &info));
    KJ_SYSCALL(close(raw));
  }
  requireOwn(name, info);
  auto file = openFile(name, false);
  if (isEmpty(file)) make(file);
  return kj::heap<Database>(kj::mv(file), false);
}

SqliteFile ImageStore::Database::openBeside(kj::StringPtr path) {
  SqliteFile file(kj::str(path, "/", FILE_NAME), optionsOf(SHORT_WAIT_MS));
  file.run("PRAGMA query_only=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON");
  return file;
}

kj::Own<ImageStore::Database> ImageStore::Database::openToRead(int folder, kj::StringPtr path) {
  struct stat info;
  auto name = kj::str(path, "/", FILE_NAME);
  if (fstatat(folder, FILE_NAME.cStr(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
    failErrno(path, FILE_NAME);
  }
  requireOwn(name, info);
  return kj::heap<Database>(openFile(name, true), true);
}

ImageStore::Database::Database(SqliteFile opened, bool readOnly)
    : readOnly(readOnly), file(setUp(kj::mv(opened), readOnly)),
      total(file, "SELECT bytes FROM total"),
      blockCount(file, "SELECT count(*) FROM block"),
      setUsed(file, "UPDATE block SET used = ? WHERE id = ?"),
      // Of an image that is there: it may have been removed while its blocks waited.
      addMember(file, "INSERT OR IGNORE INTO member SELECT ?1, ?2 WHERE EXISTS "
                      "(SELECT 1 FROM image WHERE id = ?1)"),
      sharedSize(file, "SELECT size FROM block WHERE cid = ? AND EXISTS "
                       "(SELECT 1 FROM member WHERE block = block.id)"),
      isWhole(file, "SELECT whole FROM image WHERE id = ?"),
      setWhole(file, "UPDATE image SET whole = ? WHERE id = ?"),
      addImage(file, "INSERT OR IGNORE INTO image (cid, pinned, whole, added, used) "
                     "VALUES (?, 0, 0, ?, ?)"),
      imageByCid(file, "SELECT id FROM image WHERE cid = ?"),
      imageByName(file, "SELECT id FROM image WHERE name = ?"),
      setImageUsed(file, "UPDATE image SET used = ? WHERE id = ?"),
      nameImage(file, "UPDATE image SET name = ? WHERE id = ?"),
      dropName(file, "UPDATE image SET name = NULL WHERE name = ?"),
      setPinned(file, "UPDATE image SET pinned = ? WHERE id = ?"),
      dropMember(file, "DELETE FROM member WHERE image = ? AND block = ?"),
      orphanSize(file, "SELECT size FROM block WHERE id = ? AND NOT EXISTS "
                       "(SELECT 1 FROM member WHERE block = block.id)"),
      sum(file, "SELECT coalesce(sum(size), 0) FROM block"),
      isPinned(file, "SELECT pinned FROM image WHERE cid = ?"),
      // Of those that have it no more are looked at: it is asked for each block that comes.
      isCounted(file, "SELECT 1 FROM block WHERE cid = ?1 AND (EXISTS (SELECT 1 FROM member "
                      "WHERE image = ?2 AND block = block.id) OR EXISTS (SELECT 1 FROM image "
                      "WHERE pinned = 1 AND id IN "
                      "(SELECT image FROM member WHERE block = block.id LIMIT 64)))"),
      byCid(file, "SELECT cid, id, size, used FROM block WHERE cid = ?"),
      byId(file, "SELECT cid, id, size, used FROM block WHERE id > ? ORDER BY id LIMIT 1"),
      content(file, "SELECT bytes FROM content WHERE block = ?"),
      addBlock(file, "INSERT INTO block (cid, size, used) VALUES (?, ?, ?)"),
      addContent(file, "INSERT INTO content VALUES (?, ?)"),
      addTotal(file, "UPDATE total SET bytes = bytes + ?"),
      subtractTotal(file, "UPDATE total SET bytes = max(bytes - ?, 0)"),
      dropBlock(file, "DELETE FROM block WHERE id = ?"),
      dropContent(file, "DELETE FROM content WHERE block = ?"),
      dropMembers(file, "DELETE FROM member WHERE block = ?"),
      dropMembersOfImage(file, "DELETE FROM member WHERE image = ?"),
      dropRow(file, "DELETE FROM image WHERE id = ?"),
      spoil(file, "UPDATE image SET whole = 0 WHERE id IN "
                  "(SELECT image FROM member WHERE block = ?)"),
      image(file, "SELECT cid, pinned, whole, added, used, name FROM image WHERE id = ?"),
      imageCounts(file, "SELECT count(*), coalesce(sum(size), 0) FROM member JOIN block "
                        "ON block = block.id WHERE image = ?"),
      images(file, "SELECT id FROM image WHERE substr(cid, 1, 4) != x'01550010' "
                   "ORDER BY added, id"),
      wholes(file, "SELECT cid FROM image WHERE whole = 1 AND substr(cid, 1, 4) != x'01550010' "
                   "ORDER BY added, id LIMIT ?"),
      unpinned(file, "SELECT id FROM image WHERE pinned = 0 "
                     "ORDER BY substr(cid, 1, 4) != x'01550010', used, id"),
      orphanRows(file, "SELECT id FROM block WHERE NOT EXISTS "
                       "(SELECT 1 FROM member WHERE block = block.id) ORDER BY used LIMIT ?"),
      memberRows(file, "SELECT block FROM member WHERE image = ? LIMIT 64"),
      nameByKey(file, "SELECT sequence, until FROM name WHERE key = ?"),
      putName(file, "INSERT OR REPLACE INTO name VALUES (?, ?, ?, ?)"),
      nameCount(file, "SELECT count(*) FROM name"),
      dropNames(file, "DELETE FROM name WHERE key IN "
                      "(SELECT key FROM name ORDER BY used LIMIT ?)") {}

kj::Maybe<ImageStore::Database::Block> ImageStore::Database::readBlock(SqliteQuery& query,
                                                                       auto value) {
  kj::Maybe<Block> found;
  query.ask([&](SqliteStatement& row) {
    found = Block{Cid::fromBytes(row.getBytes(0)), row.getNumber(1), row.getNumber(2),
                  row.getNumber(3)};
  }, value);
  return kj::mv(found);
}

kj::Maybe<ImageStore::Database::Block> ImageStore::Database::findBlock(const Cid& cid) {
  return readBlock(byCid, cid.getBytes());
}

kj::Maybe<ImageStore::Database::Block> ImageStore::Database::nextBlock(uint64_t after) {
  return readBlock(byId, after);
}

kj::Maybe<kj::Array<const kj::byte>> ImageStore::Database::read(uint64_t block) {
  kj::Maybe<kj::Array<const kj::byte>> bytes;
  content.ask([&](SqliteStatement& row) {
    bytes = kj::heapArray<const kj::byte>(row.getBytes(0));
  }, block);
  return kj::mv(bytes);
}

kj::Maybe<StoredImage> ImageStore::Database::readImage(uint64_t id) {
  kj::Maybe<StoredImage> found;
  image.ask([&](SqliteStatement& row) {
    StoredImage result{Cid::fromBytes(row.getBytes(0))};
    result.pinned = row.getNumber(1) > 0;
    result.whole = row.getNumber(2) > 0;
    result.added = row.getNumber(3);
    result.used = row.getNumber(4);
    auto name = row.getText(5);
    if (name.size() > 0) result.name = kj::mv(name);
    found = kj::mv(result);
  }, id);
  KJ_IF_MAYBE(result, found) {
    imageCounts.ask([&](SqliteStatement& row) {
      result->blocks = row.getNumber(0);
      result->bytes = row.getNumber(1);
    }, id);
  }
  return kj::mv(found);
}

template <typename... Values>
kj::Array<uint64_t> ImageStore::Database::numbers(SqliteQuery& query, const Values&... values) {
  kj::Vector<uint64_t> found;
  query.ask([&](SqliteStatement& row) { found.add(row.getNumber(0)); }, values...);
  return found.releaseAsArray();
}

kj::Array<uint64_t> ImageStore::Database::imageIds() { return numbers(images); }
kj::Array<uint64_t> ImageStore::Database::unpinnedIds() { return numbers(unpinned); }

kj::Array<Cid> ImageStore::Database::wholeRoots(uint64_t most) {
  kj::Vector<Cid> roots;
  wholes.ask([&](SqliteStatement& row) { roots.add(Cid::fromBytes(row.getBytes(0))); }, most);
  return roots.releaseAsArray();
}

kj::Array<uint64_t> ImageStore::Database::orphans() { return numbers(orphanRows, MAX_ORPHANS); }
kj::Array<uint64_t> ImageStore::Database::members(uint64_t image) {
  return numbers(memberRows, image);
}

uint64_t ImageStore::Database::add(const Cid& cid, kj::ArrayPtr<const kj::byte> block,
                                   uint64_t now) {
  addBlock.run(cid.getBytes(), uint64_t(block.size()), now);
  auto id = file.getLastId();
  addContent.run(id, block);
  addTotal.run(uint64_t(block.size()));
  return id;
}

void ImageStore::Database::remove(uint64_t block, uint64_t size) {
  dropBlock.run(block);
  dropContent.run(block);
  subtractTotal.run(size);
}

void ImageStore::Database::removeIfDamaged(const Cid& cid) {
  KJ_IF_MAYBE(row, findBlock(cid)) {
    KJ_IF_MAYBE(bytes, read(row->id)) {
      if (cid.isOf(*bytes)) return;
    }
    spoil.run(row->id);
    dropMembers.run(row->id);
    remove(row->id, row->size);
  }
}

uint64_t ImageStore::Database::freeBytes() {
  auto number = [&](kj::StringPtr pragma) {
    return file.ask(pragma).orDefault(kj::str("0")).tryParseAs<uint64_t>().orDefault(0);
  };
  return number("PRAGMA freelist_count") * number("PRAGMA page_size");
}

void ImageStore::Database::dropImage(uint64_t id) {
  dropMembersOfImage.run(id);
  dropRow.run(id);
}

kj::Maybe<IpnsMemory::Seen> ImageStore::Database::findName(kj::ArrayPtr<const kj::byte> key) {
  kj::Maybe<IpnsMemory::Seen> found;
  nameByKey.ask([&](SqliteStatement& row) {
    auto bytes = row.getBytes(0);
    if (bytes.size() != SEQUENCE_BYTES) file.failDamaged("a name's number has another length");
    IpnsMemory::Seen seen;
    for (auto byte: bytes) seen.sequence = seen.sequence << 8 | byte;
    seen.until = int64_t(row.getNumber(1));
    found = seen;
  }, key);
  return found;
}

void ImageStore::Database::setName(kj::ArrayPtr<const kj::byte> key, const IpnsMemory::Seen& seen,
                                   uint64_t now) {
  kj::byte bytes[SEQUENCE_BYTES];
  for (size_t i = 0; i < SEQUENCE_BYTES; i++) {
    bytes[i] = kj::byte(seen.sequence >> (8 * (SEQUENCE_BYTES - 1 - i)));
  }
  putName.run(key, kj::ArrayPtr<const kj::byte>(bytes), uint64_t(seen.until), now);
}

void ImageStore::Database::keepNames(uint64_t most) {
  auto count = nameCount.askNumber().orDefault(0);
  if (count > most) dropNames.run(count - most);
}

void ImageStore::Database::correctTotal() {
  file.run("UPDATE total SET bytes = (SELECT coalesce(sum(size), 0) FROM block)");
}

void ImageStore::Database::checkStructure() {
  auto integrity = file.ask("PRAGMA integrity_check").orDefault(kj::String());
  if (integrity != "ok") file.failDamaged(integrity);
}

}  // namespace ww
