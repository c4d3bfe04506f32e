#include <ww/node/sqlite-cursor-store.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <type_traits>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/node/directory-store.h>
#include <ww/node/sqlite.h>

namespace ww {
namespace {

constexpr kj::StringPtr FILE_NAME = "stem.db"_kj;
constexpr kj::StringPtr PART_NAME = "stem.db.part"_kj;  // one that is being made

constexpr kj::StringPtr APPLICATION_ID = "2004308845"_kj;  // "wwSm"
constexpr kj::StringPtr SCHEMA_VERSION = "1"_kj;
constexpr kj::StringPtr SCHEMA =
    "CREATE TABLE cursor (contract BLOB PRIMARY KEY NOT NULL, chain_id INTEGER NOT NULL, "
    "final_number INTEGER NOT NULL, final_hash BLOB NOT NULL, seq INTEGER NOT NULL, "
    "head BLOB NOT NULL, adopted_block INTEGER NOT NULL) WITHOUT ROWID"_kj;
enum Column: int { CONTRACT, CHAIN_ID, FINAL_NUMBER, FINAL_HASH, SEQ, HEAD, ADOPTED_BLOCK };

// A small log, so that what is read at the next start is little.
constexpr kj::StringPtr SETTINGS =
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF; "
    "PRAGMA cell_size_check=ON; PRAGMA wal_autocheckpoint=16"_kj;

[[noreturn]] void fail(kj::StringPtr path, kj::StringPtr what) {
  kj::throwFatalException(badInput(kj::str(path, ": ", what)));
}

[[noreturn]] void failErrno(kj::StringPtr path, kj::StringPtr doing) {
  fail(path, kj::str(doing, " (", strerror(errno), ")"));
}

// Is there a file? Throws unless it is one that SQLite may be given. An empty one would be a new
// database to SQLite; here it is one that lost all it held, since make() leaves none.
bool isThere(int folder, kj::StringPtr path) {
  int raw = openat(folder, FILE_NAME.cStr(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (raw < 0 && errno == ENOENT) return false;
  if (raw < 0) failErrno(path, "cannot be opened for writing");
  kj::AutoCloseFd file(raw);
  struct stat info;
  KJ_SYSCALL(fstat(file, &info));
  if (!S_ISREG(info.st_mode)) fail(path, kj::str("this is no plain file; ", MOVE_IT_AWAY));
  if (info.st_uid != geteuid() || (info.st_mode & 022) != 0) {
    fail(path, kj::str("others may write to this file; if nobody did, run: chmod 600 ", path));
  }
  if (info.st_size == 0) fail(path, kj::str("this file is damaged (it is empty); ", MOVE_IT_AWAY));
  return true;
}

template <size_t N>
kj::ArrayPtr<const kj::byte> bytesOf(const std::array<kj::byte, N>& array) {
  return kj::arrayPtr(array.data(), N);
}

// The file appears whole, by a rename. What an interrupted one left goes, and so does the log of
// one that was moved away: SQLite would take it for the new one's.
void make(int folder, kj::StringPtr folderPath) {
  for (auto name: {"stem.db-wal", "stem.db.part-wal", PART_NAME.cStr()}) {
    if (unlinkat(folder, name, 0) < 0 && errno != ENOENT) {
      failErrno(kj::str(folderPath, "/", name), "cannot be removed");
    }
  }
  auto path = kj::str(folderPath, "/", PART_NAME);
  int raw = openat(folder, PART_NAME.cStr(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (raw < 0) failErrno(path, "cannot be made");
  KJ_SYSCALL(close(raw));
  SqliteFile(path).run(kj::str("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF; "
                               "PRAGMA synchronous=FULL; BEGIN; ", SCHEMA,
                               "; PRAGMA application_id=", APPLICATION_ID,
                               "; PRAGMA user_version=", SCHEMA_VERSION,
                               "; COMMIT; PRAGMA journal_mode=WAL"));
  if (renameat(folder, PART_NAME.cStr(), folder, FILE_NAME.cStr()) < 0) {
    failErrno(path, kj::str("cannot be renamed to ", FILE_NAME));
  }
  if (fsync(folder) < 0 && errno != EINVAL) failErrno(folderPath, "cannot be synced");
}

// What a row of the table holds, of any contract.
StemCursor read(SqliteFile& file, SqliteStatement& row) {
  auto bytes = [&](Column column, size_t least, size_t most) {
    auto found = row.getBytes(column);
    if (found.size() < least || found.size() > most) {
      file.failDamaged(kj::str(row.getName(column), " has ", found.size(), " bytes"));
    }
    return found;
  };
  StemCursor cursor;
  auto& hash = cursor.final.hash.bytes;
  bytes(CONTRACT, sizeof(EthAddress::bytes), sizeof(EthAddress::bytes));
  cursor.chainId = row.getNumber(CHAIN_ID);
  cursor.final.number = row.getNumber(FINAL_NUMBER);
  memcpy(hash.data(), bytes(FINAL_HASH, hash.size(), hash.size()).begin(), hash.size());
  cursor.epoch.seq = row.getNumber(SEQ);
  cursor.epoch.head = kj::heapArray<const kj::byte>(bytes(HEAD, 0, MAX_HEAD_BYTES));
  cursor.epoch.adoptedBlock = row.getNumber(ADOPTED_BLOCK);
  return cursor;
}

// Is it ours, of this version, and whole?
void check(SqliteFile& file) {
  auto ask = [&](kj::StringPtr sql) { return file.ask(sql).orDefault(kj::String()); };
  if (ask("PRAGMA application_id") != APPLICATION_ID) {
    file.refuse(kj::str("this file is another program's; ", MOVE_IT_AWAY));
  }
  auto version = ask("PRAGMA user_version");
  if (version != SCHEMA_VERSION) {
    file.refuse(kj::str("this file is a newer ww's (its version is ", version, ", this one's is ",
                        SCHEMA_VERSION, "); run that one, or ", MOVE_IT_AWAY));
  }
  auto integrity = ask("PRAGMA integrity_check");
  if (integrity != "ok") file.failDamaged(integrity);
  if (ask("SELECT group_concat(sql) FROM sqlite_schema") != SCHEMA) {
    file.failDamaged("its tables are not those of its version");
  }
  auto journal = ask("PRAGMA journal_mode");
  if (journal != "wal") file.failDamaged(kj::str("its journal is of the kind ", journal));
  SqliteStatement rows(file, "SELECT * FROM cursor");
  while (rows.step()) read(file, rows);
}

SqliteFile openFile(kj::StringPtr folderPath) {
  auto path = kj::str(folderPath, "/", FILE_NAME);
  {
    auto folder = openPrivateFolder(folderPath);
    if (!isThere(folder, path)) make(folder, folderPath);
  }
  SqliteFile file(path);
  file.run(SETTINGS);
  check(file);
  // What a killed process wrote to the log, and did not sync, is in the system's memory alone: it
  // is brought to the disk before anybody relies on it.
  if (file.ask("PRAGMA wal_checkpoint(TRUNCATE)").orDefault(kj::String()) != "0") {
    file.fail(SQLITE_BUSY);
  }
  return file;
}

}  // namespace

// The open file. Lives on the store's thread.
class SqliteCursorStore::File {
 public:
  explicit File(kj::StringPtr folder)
      : file(openFile(folder)),
        select(file, "SELECT * FROM cursor WHERE contract = ?"),
        replace(file, "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?, ?, ?, ?, ?)"),
        remove(file, "DELETE FROM cursor WHERE contract = ?") {}

  kj::Maybe<StemCursor> load(const EthAddress& contract) {
    KJ_DEFER(select.reset());
    select.bind(1, bytesOf(contract.bytes));
    if (!select.step()) return nullptr;
    return read(file, select);
  }

  void save(const EthAddress& contract, const StemCursor& cursor) {
    for (auto number: {cursor.chainId, cursor.final.number, cursor.epoch.seq,
                       cursor.epoch.adoptedBlock}) {
      if (number > uint64_t(INT64_MAX)) file.refuse(kj::str("a number does not fit: ", number));
    }
    file.run("BEGIN IMMEDIATE");
    KJ_ON_SCOPE_FAILURE(file.rollBack());
    KJ_IF_MAYBE(objection, findObjection(load(contract), cursor)) file.refuse(*objection);
    KJ_DEFER(replace.reset());
    replace.bind(1 + CONTRACT, bytesOf(contract.bytes));
    replace.bind(1 + CHAIN_ID, cursor.chainId);
    replace.bind(1 + FINAL_NUMBER, cursor.final.number);
    replace.bind(1 + FINAL_HASH, bytesOf(cursor.final.hash.bytes));
    replace.bind(1 + SEQ, cursor.epoch.seq);
    replace.bind(1 + HEAD, cursor.epoch.head);
    replace.bind(1 + ADOPTED_BLOCK, cursor.epoch.adoptedBlock);
    replace.step();
    file.run("COMMIT");
  }

  void forget(const EthAddress& contract) {
    KJ_DEFER(remove.reset());
    remove.bind(1, bytesOf(contract.bytes));
    remove.step();
  }

 private:
  SqliteFile file;
  SqliteStatement select, replace, remove;
};

// Opens it at the first call, and again where that failed.
class SqliteCursorStore::Opener {
 public:
  explicit Opener(kj::StringPtr folder) : folder(folder) {}

  File& get() {
    KJ_IF_MAYBE(f, file) return **f;
    return *file.emplace(kj::heap<File>(folder));
  }

 private:
  const kj::StringPtr folder;
  kj::Maybe<kj::Own<File>> file;
};

SqliteCursorStore::SqliteCursorStore(kj::StringPtr folder)
    : folder(kj::str(folder)), thread([this]() { work(); }) {}

SqliteCursorStore::~SqliteCursorStore() noexcept(false) { state.lockExclusive()->stopped = true; }

void SqliteCursorStore::work() {
  Opener opener(folder);
  for (;;) {
    KJ_IF_MAYBE(job, next()) {
      (*job)(opener);
    } else {
      return;
    }
  }
}

kj::Maybe<SqliteCursorStore::Job> SqliteCursorStore::next() {
  return state.when([](const State& s) { return s.stopped || !s.jobs.empty(); },
                    [](State& s) -> kj::Maybe<Job> {
    if (s.jobs.empty()) return nullptr;
    auto job = kj::mv(s.jobs.front());
    s.jobs.pop_front();
    return kj::mv(job);
  });
}

template <typename T>
kj::Promise<T> SqliteCursorStore::ask(kj::Function<T(File&)> action) {
  auto paf = kj::newPromiseAndCrossThreadFulfiller<T>();
  state.lockExclusive()->jobs.push_back(
      [action = kj::mv(action), to = kj::mv(paf.fulfiller)](Opener& opener) mutable {
    to->rejectIfThrows([&]() {
      if constexpr (std::is_void_v<T>) {
        action(opener.get());
        to->fulfill();
      } else {
        to->fulfill(action(opener.get()));
      }
    });
  });
  return kj::mv(paf.promise);
}

kj::Promise<kj::Maybe<StemCursor>> SqliteCursorStore::load(const EthAddress& contract) {
  return ask<kj::Maybe<StemCursor>>([contract](File& file) { return file.load(contract); });
}

kj::Promise<void> SqliteCursorStore::save(const EthAddress& contract, StemCursor cursor) {
  return ask<void>([contract, cursor = kj::mv(cursor)](File& file) {
    file.save(contract, cursor);
  });
}

kj::Promise<void> SqliteCursorStore::forget(const EthAddress& contract) {
  return ask<void>([contract](File& file) { file.forget(contract); });
}

}  // namespace ww
