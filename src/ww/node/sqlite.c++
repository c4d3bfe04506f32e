#include <ww/node/sqlite.h>

#include <errno.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <ww/base/error.h>

namespace ww {

namespace {

// Whether nobody changes it: those who have it open share a file beside it, which has to be made.
bool isFixed(kj::StringPtr path) {
  constexpr uint64_t SHARED_BYTES = 64 << 10;
  struct stat log;
  if (stat(kj::str(path, "-wal").cStr(), &log) == 0 && log.st_size > 0) return false;
  auto folder = kj::str(".");
  KJ_IF_MAYBE(end, path.findLast('/')) folder = kj::str(path.slice(0, *end + 1));
  struct statvfs disk;
  if (access(folder.cStr(), W_OK) < 0 || statvfs(folder.cStr(), &disk) < 0) return true;
  return disk.f_bavail * disk.f_frsize < SHARED_BYTES;
}

kj::String readOnlyUri(kj::StringPtr path) {
  return kj::str("file:", kj::encodeUriPath(path), isFixed(path) ? "?immutable=1" : "?mode=ro");
}

}  // namespace

SqliteFile::SqliteFile(kj::StringPtr path, SqliteOptions options)
    : path(kj::str(path)), advice(options.advice), busy(options.busy),
      busyTimeout(options.busyTimeoutMs) {
  sqlite3* raw = nullptr;
  int flags = SQLITE_OPEN_NOMUTEX;
  flags |= options.readOnly ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI : SQLITE_OPEN_READWRITE;
  if (options.create) flags |= SQLITE_OPEN_CREATE;
  auto name = options.readOnly ? readOnlyUri(path) : kj::str(path);
  int code = sqlite3_open_v2(name.cStr(), &raw, flags, nullptr);
  db.reset(raw);
  if (code != SQLITE_OK) fail(code);
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_limit(raw, SQLITE_LIMIT_LENGTH, options.maxValueBytes);
  sqlite3_busy_timeout(raw, busyTimeout);
}

void SqliteFile::run(kj::StringPtr sql) {
  int code = sqlite3_exec(db.get(), sql.cStr(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

void SqliteFile::tryRun(kj::StringPtr sql) {
  sqlite3_exec(db.get(), sql.cStr(), nullptr, nullptr, nullptr);
}

void SqliteFile::stopWhen(const std::atomic<bool>& isEnough) {
  constexpr int STEPS = 100;  // of SQLite's virtual machine: a moment
  sqlite3_progress_handler(db.get(), STEPS, [](void* flag) {
    return static_cast<const std::atomic<bool>*>(flag)->load() ? 1 : 0;
  }, const_cast<std::atomic<bool>*>(&isEnough));
}

kj::Maybe<kj::String> SqliteFile::ask(kj::StringPtr sql) {
  SqliteStatement statement(*this, sql);
  if (!statement.step()) return nullptr;
  return statement.getText(0);
}

void SqliteFile::refuse(kj::StringPtr why) const {
  kj::throwFatalException(badInput(kj::str(path, ": ", why)));
}

void SqliteFile::failDamaged(kj::StringPtr how) const {
  refuse(kj::str("this file is damaged (", how, "); ", advice));
}

void SqliteFile::fail(int code) {
  auto reason = db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db.get());
  int error = db == nullptr ? 0 : sqlite3_system_errno(db.get());
  bool isFull = (code & 0xff) == SQLITE_IOERR && (error == ENOSPC || error == EDQUOT);
  switch (isFull ? SQLITE_FULL : code & 0xff) {
    case SQLITE_ERROR:  // statements that do not fit its tables
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT: failDamaged(reason);
    case SQLITE_FULL: refuse("cannot be written, the disk is full; make room on it");
    case SQLITE_READONLY: refuse("cannot be written: it, its folder or the disk is read-only");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      kj::throwFatalException(kj::Exception(kj::Exception::Type::OVERLOADED, __FILE__, __LINE__,
                                            kj::str(path, ": ", busy)));
    default: break;
  }
  refuse(kj::str("cannot be read or written (", reason, error == 0 ? "" : ": ",
                 error == 0 ? "" : strerror(error), "); see to the disk"));
}

SqliteStatement::SqliteStatement(SqliteFile& file, kj::StringPtr sql) : file(file) {
  sqlite3_stmt* raw = nullptr;
  int code = sqlite3_prepare_v2(file.db.get(), sql.cStr(), int(sql.size()) + 1, &raw, nullptr);
  statement.reset(raw);
  if (code != SQLITE_OK) file.fail(code);
}

void SqliteStatement::bind(int parameter, uint64_t number) {
  KJ_REQUIRE(number <= uint64_t(INT64_MAX), "one that does not fit is refused before");
  int code = sqlite3_bind_int64(statement.get(), parameter, int64_t(number));
  KJ_ASSERT(code == SQLITE_OK, sqlite3_errstr(code));
}

void SqliteStatement::bind(int parameter, kj::ArrayPtr<const kj::byte> bytes) {
  // A null pointer would be NULL, which no bytes are not.
  auto begin = bytes.size() == 0 ? reinterpret_cast<const kj::byte*>("") : bytes.begin();
  int code = sqlite3_bind_blob64(statement.get(), parameter, begin, bytes.size(),
                                 SQLITE_TRANSIENT);
  KJ_ASSERT(code == SQLITE_OK, sqlite3_errstr(code));
}

void SqliteStatement::bind(int parameter, kj::StringPtr text) {
  int code = sqlite3_bind_text(statement.get(), parameter, text.cStr(), int(text.size()),
                               SQLITE_TRANSIENT);
  KJ_ASSERT(code == SQLITE_OK, sqlite3_errstr(code));
}

bool SqliteStatement::step() {
  int code = sqlite3_step(statement.get());
  if (code != SQLITE_ROW && code != SQLITE_DONE) file.fail(code);
  return code == SQLITE_ROW;
}

kj::String SqliteStatement::getText(int column) {
  auto text = sqlite3_column_text(statement.get(), column);
  return text == nullptr ? kj::String() : kj::str(reinterpret_cast<const char*>(text));
}

kj::StringPtr SqliteStatement::getName(int column) {
  return sqlite3_column_name(statement.get(), column);
}

uint64_t SqliteStatement::getNumber(int column) {
  auto number = sqlite3_column_int64(statement.get(), column);
  if (sqlite3_column_type(statement.get(), column) != SQLITE_INTEGER || number < 0) {
    file.failDamaged(kj::str(getName(column), " is no number"));
  }
  return uint64_t(number);
}

kj::ArrayPtr<const kj::byte> SqliteStatement::getBytes(int column) {
  if (sqlite3_column_type(statement.get(), column) != SQLITE_BLOB) {
    file.failDamaged(kj::str(getName(column), " is no bytes"));
  }
  auto begin = static_cast<const kj::byte*>(sqlite3_column_blob(statement.get(), column));
  return kj::arrayPtr(begin, size_t(sqlite3_column_bytes(statement.get(), column)));
}

}  // namespace ww
