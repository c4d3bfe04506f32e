#pragma once
// The disk under SQLite while it lives, as a test has it: it can make who uses it wait, fail to
// write or to sync, and knows what was written and not synced. Any thread.

#include <kj/debug.h>
#include <kj/map.h>
#include <kj/mutex.h>
#include <sqlite3.h>

namespace ww {

class SqliteTestDisk {
 public:
  SqliteTestDisk() : real(sqlite3_vfs_find(nullptr)), own(*real) {
    KJ_ASSERT(current == nullptr);
    current = this;
    own.zName = "test-disk";
    own.xOpen = [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* got) {
      return current->open(name, file, flags, got);
    };
    sqlite3_vfs_register(&own, 1);
  }
  ~SqliteTestDisk() noexcept(false) {
    sqlite3_vfs_unregister(&own);
    sqlite3_vfs_register(real, 1);
    current = nullptr;
  }
  KJ_DISALLOW_COPY_AND_MOVE(SqliteTestDisk);

  void hold() { state.lockExclusive()->isHeld = true; }
  void release() { state.lockExclusive()->isHeld = false; }
  void untilSomebodyWaits() {
    state.when([](const State& s) { return s.waiting > 0; }, [](State&) {});
  }

  // What happens to a write and to a sync from now on: SQLITE_OK, or the failure.
  void onWrite(int code) { state.lockExclusive()->write = code; }
  void onSync(int code) { state.lockExclusive()->sync = code; }

  bool isSynced() { return state.lockExclusive()->unsynced.size() == 0; }

 private:
  struct State {
    bool isHeld = false;
    int waiting = 0, write = SQLITE_OK, sync = SQLITE_OK;
    kj::HashSet<sqlite3_file*> unsynced;
    kj::HashMap<sqlite3_file*, const sqlite3_io_methods*> theirs;
    kj::HashMap<const sqlite3_io_methods*, kj::Own<sqlite3_io_methods>> ours;
  };

  void pass() {
    ++state.lockExclusive()->waiting;
    state.when([](const State& s) { return !s.isHeld; }, [](State& s) { --s.waiting; });
  }

  int open(const char* name, sqlite3_file* file, int flags, int* got) {
    pass();
    int code = real->xOpen(real, name, file, flags, got);
    if (file->pMethods == nullptr) return code;
    auto lock = state.lockExclusive();
    lock->theirs.insert(file, file->pMethods);
    auto& ours = lock->ours.findOrCreate(file->pMethods, [&]() {
      return kj::HashMap<const sqlite3_io_methods*, kj::Own<sqlite3_io_methods>>::Entry{
          file->pMethods, copyOf(*file->pMethods)};
    });
    file->pMethods = ours;
    return code;
  }

  static kj::Own<sqlite3_io_methods> copyOf(const sqlite3_io_methods& theirs) {
    auto ours = kj::heap<sqlite3_io_methods>(theirs);
    ours->xWrite = [](sqlite3_file* f, const void* from, int bytes, sqlite3_int64 at) {
      return current->write(f, from, bytes, at);
    };
    ours->xSync = [](sqlite3_file* f, int flags) { return current->sync(f, flags); };
    ours->xClose = [](sqlite3_file* f) { return current->close(f); };
    return ours;
  }

  const sqlite3_io_methods* theirs(sqlite3_file* file) {
    return KJ_ASSERT_NONNULL(state.lockExclusive()->theirs.find(file));
  }

  int close(sqlite3_file* file) {
    auto methods = theirs(file);
    auto lock = state.lockExclusive();
    lock->unsynced.eraseMatch(file);
    lock->theirs.erase(file);
    return methods->xClose(file);
  }

  int write(sqlite3_file* file, const void* from, int bytes, sqlite3_int64 at) {
    pass();
    {
      auto lock = state.lockExclusive();
      if (lock->write != SQLITE_OK) return lock->write;
      lock->unsynced.upsert(file, [](auto&, auto&&) {});
    }
    return theirs(file)->xWrite(file, from, bytes, at);
  }

  int sync(sqlite3_file* file, int flags) {
    pass();
    {
      auto lock = state.lockExclusive();
      if (lock->sync != SQLITE_OK) return lock->sync;
      lock->unsynced.eraseMatch(file);
    }
    return theirs(file)->xSync(file, flags);
  }

  static inline SqliteTestDisk* current = nullptr;
  sqlite3_vfs* const real;
  sqlite3_vfs own;
  kj::MutexGuarded<State> state;
};

}  // namespace ww
