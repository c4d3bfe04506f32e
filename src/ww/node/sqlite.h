#pragma once
// SQLite's handles as C++ owns them, and its errors as a person reads them: each names the file,
// and says what a person can do about one that is damaged.
//
// Blocks; lives on one thread. Numbers are SQLite's less their sign: 63 bits.

#include <atomic>
#include <kj/array.h>
#include <kj/string.h>
#include <memory>
#include <sqlite3.h>
#include <stdint.h>
#include <utility>

namespace ww {

// What a person can do about a file that cannot be used: the end of such an error. Of what is known
// from the chain as well.
constexpr kj::StringPtr MOVE_IT_AWAY =
    "move it away, and the node adopts anew from the chain"_kj;

struct SqliteOptions {
  bool create = false;             // where there is none
  // Nothing of it is written. Where no log of changes (`-wal`) is beside the file, and there can be
  // none (its folder or the disk is read-only, or full), it is read as one that nobody changes.
  bool readOnly = false;
  int maxValueBytes = 1 << 20;     // longer ones are in no such file: none is read into memory
  int busyTimeoutMs = 0;           // for another process to be done
  kj::StringPtr advice = MOVE_IT_AWAY;  // a literal, as `busy` is
  kj::StringPtr busy = "another program has this file open; end that one"_kj;
};

// An open database.
class SqliteFile {
 public:
  // Opens it. Reads nothing yet.
  explicit SqliteFile(kj::StringPtr path, SqliteOptions options = {});

  // Runs statements whose rows are of no interest. While another process has the lock that they
  // take, the exception is of type OVERLOADED, here as wherever one is thrown.
  void run(kj::StringPtr sql);

  // Whatever comes of it. Never fails.
  void tryRun(kj::StringPtr sql);

  // Gives up a transaction that may or may not be open. Never fails.
  void rollBack() { tryRun("ROLLBACK"); }

  // So long another process is waited for from now on, on this thread. Returns what it was.
  int setBusyTimeout(int ms) {
    sqlite3_busy_timeout(db.get(), ms);
    return std::exchange(busyTimeout, ms);
  }

  // What it reads fails from when that is so, whatever thread made it so; it outlives this.
  void stopWhen(const std::atomic<bool>& isEnough);

  // The first column of the first row, as text; nothing without a row.
  kj::Maybe<kj::String> ask(kj::StringPtr sql);

  [[noreturn]] void fail(int code);
  [[noreturn]] void failDamaged(kj::StringPtr how) const;
  [[noreturn]] void refuse(kj::StringPtr why) const;  // `why`, with the file's name

  // Of the row that was inserted last.
  uint64_t getLastId() const { return uint64_t(sqlite3_last_insert_rowid(db.get())); }

 private:
  friend class SqliteStatement;
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close(db); }
  };
  kj::String path;
  kj::StringPtr advice, busy;
  std::unique_ptr<sqlite3, Close> db;
  int busyTimeout;
};

// Writes all or nothing. One at a time.
class SqliteTransaction {
 public:
  explicit SqliteTransaction(SqliteFile& file) : file(file) { file.run("BEGIN IMMEDIATE"); }
  ~SqliteTransaction() noexcept(false) {
    if (!isDone) file.rollBack();
  }
  KJ_DISALLOW_COPY_AND_MOVE(SqliteTransaction);

  void commit() {
    file.run("COMMIT");
    isDone = true;
  }

 private:
  SqliteFile& file;
  bool isDone = false;
};

// What is read while this lives is of one moment. Nobody waits for it, and it for nobody.
class SqliteSnapshot {
 public:
  explicit SqliteSnapshot(SqliteFile& file): file(file) { file.run("BEGIN"); }
  ~SqliteSnapshot() { file.rollBack(); }
  KJ_DISALLOW_COPY_AND_MOVE(SqliteSnapshot);

 private:
  SqliteFile& file;
};

// A prepared statement. Parameters count from 1, columns from 0.
class SqliteStatement {
 public:
  SqliteStatement(SqliteFile& file, kj::StringPtr sql);

  void bind(int parameter, uint64_t number);
  void bind(int parameter, kj::ArrayPtr<const kj::byte> bytes);  // copied
  void bind(int parameter, kj::StringPtr text);                  // copied

  // True at a row; false at the end, which reset() makes the beginning.
  bool step();
  void reset() { sqlite3_reset(statement.get()); }

  // Of the row, whatever its type is.
  kj::String getText(int column);
  kj::StringPtr getName(int column);

  // Of the row; fail as damaged where the column has another type. The bytes stand until the next
  // step() or reset().
  uint64_t getNumber(int column);
  kj::ArrayPtr<const kj::byte> getBytes(int column);

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  SqliteFile& file;
  std::unique_ptr<sqlite3_stmt, Finalize> statement;
};

}  // namespace ww
