// Files that a SqliteCursorStore cannot use: each is left as it is, and is said to be so.

#include <fcntl.h>
#include <kj/test.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>
#include <ww/node/cursor-world-test.h>

namespace ww {
namespace {

constexpr uid_t NOBODY = 65534;

// Another program that has the file open.
class Other {
 public:
  explicit Other(kj::StringPtr path) { KJ_ASSERT(sqlite3_open(path.cStr(), &db) == SQLITE_OK); }
  ~Other() { sqlite3_close(db); }
  KJ_DISALLOW_COPY_AND_MOVE(Other);

  void run(kj::StringPtr sql) {
    KJ_ASSERT(sqlite3_exec(db, sql.cStr(), nullptr, nullptr, nullptr) == SQLITE_OK, sql,
              sqlite3_errmsg(db));
  }

 private:
  sqlite3* db = nullptr;
};

// A user that may not do everything, while this lives: everything in `world` is theirs.
class Unprivileged {
 public:
  explicit Unprivileged(World& world) : isRoot(geteuid() == 0) {
    if (!isRoot) return;
    for (auto& path: {world.folder.at(""), kj::str(world.data), kj::str(world.path)}) {
      KJ_SYSCALL(chown(path.cStr(), NOBODY, kj::maxValue));
    }
    KJ_SYSCALL(seteuid(NOBODY));
  }
  ~Unprivileged() noexcept(false) {
    if (!isRoot) return;
    KJ_SYSCALL(seteuid(0));
  }
  KJ_DISALLOW_COPY_AND_MOVE(Unprivileged);

 private:
  const bool isRoot;
};

void expectDamaged(kj::StringPtr why, kj::Function<void(World&)> damage) {
  World world;
  world.saveAnew(3);
  damage(world);
  auto before = world.folder.read("data/stem.db");
  world.expectRefused(why, why);
  bool isSame = world.folder.read("data/stem.db") == before;
  KJ_EXPECT(isSame, "it was changed", why);

  KJ_EXPECT(contains(world.reason(SqliteCursorStore(world.data).load(A)), "move it away, and the"));
  KJ_SYSCALL(rename(world.path.cStr(), world.folder.at("away").cStr()));
  world.saveAnew(1);
  KJ_EXPECT(world.loadAnew() == text(cursor(1)), why);
}

void expectDamagedBy(kj::StringPtr sql, kj::StringPtr why) {
  expectDamaged(why, [&](World& world) { Other(world.path).run(sql); });
}

KJ_TEST("bytes that are no database, or not all of one") {
  expectDamaged("damaged (file is not a database)", [](World& world) {
    world.folder.write("data/stem.db", kj::strArray(kj::repeat("garbage"_kj, 3000), " "));
  });
  expectDamaged("damaged (", [](World& world) {
    KJ_SYSCALL(truncate(world.path.cStr(), 50));
  });
  expectDamaged("damaged (it is empty)", [](World& world) {
    KJ_SYSCALL(truncate(world.path.cStr(), 0));
  });
  expectDamaged("damaged (database disk image is malformed)", [](World& world) {
    KJ_SYSCALL(truncate(world.path.cStr(), 4096));
  });
  expectDamaged("damaged (", [](World& world) {
    KJ_SYSCALL(truncate(world.path.cStr(), 4096));
    KJ_SYSCALL(truncate(world.path.cStr(), 8192));
  });
  // Two rows in the wrong order: each is whole, and a search would miss one.
  expectDamaged("damaged (row not in PRIMARY KEY order", [](World& world) {
    {
      SqliteCursorStore store(world.data);
      world.save(store, cursor(3), B);
    }
    int raw;
    KJ_SYSCALL(raw = open(world.path.cStr(), O_RDWR | O_CLOEXEC));
    kj::AutoCloseFd file(raw);
    kj::byte places[4];  // of the rows in page 2, after its header
    KJ_SYSCALL(pread(file, places, 4, 4096 + 8));
    KJ_SYSCALL(pwrite(file, places + 2, 2, 4096 + 8));
    KJ_SYSCALL(pwrite(file, places, 2, 4096 + 10));
  });
}

KJ_TEST("another program's database, and one of another version") {
  expectDamagedBy("PRAGMA application_id=1", "this file is another program's");
  expectDamaged("this file is another program's", [](World& world) {
    KJ_SYSCALL(unlink(world.path.cStr()));
    Other(world.path).run("CREATE TABLE t (a)");
    KJ_SYSCALL(chmod(world.path.cStr(), 0600));
  });
  expectDamagedBy("PRAGMA user_version=2", "newer ww's (its version is 2, this one's is 1); run");
  expectDamagedBy("ALTER TABLE cursor DROP COLUMN head", "its tables are not those");
  expectDamagedBy("CREATE TABLE t (a)", "its tables are not those");
  expectDamagedBy("PRAGMA journal_mode=DELETE", "its journal is of the kind delete");
}

KJ_TEST("values that are none of ours, also of another contract") {
  expectDamagedBy("UPDATE cursor SET contract = zeroblob(19)", "contract has 19 bytes");
  expectDamagedBy("UPDATE cursor SET contract = zeroblob(21)", "contract has 21 bytes");
  expectDamagedBy("UPDATE cursor SET final_hash = zeroblob(31)", "final_hash has 31 bytes");
  expectDamagedBy("UPDATE cursor SET final_hash = zeroblob(33)", "final_hash has 33 bytes");
  expectDamagedBy("UPDATE cursor SET final_hash = 'text'", "final_hash is no bytes");
  expectDamagedBy("UPDATE cursor SET head = zeroblob(1025)", "head has 1025 bytes");
  expectDamagedBy("UPDATE cursor SET head = zeroblob(20000000)", "string or blob too big");
  expectDamagedBy("UPDATE cursor SET head = 7", "head is no bytes");
  for (auto name: {"chain_id", "final_number", "seq", "adopted_block"}) {
    for (auto value: {"-1", "'text'", "1.5", "1e19", "zeroblob(8)"}) {
      expectDamagedBy(kj::str("UPDATE cursor SET ", name, " = ", value),
                      kj::str(name, " is no number"));
    }
  }
}

KJ_TEST("what a killed process left: its log counts; without its file it is another's") {
  World world;
  {
    SqliteCursorStore store(world.data);
    for (uint64_t seq: {3, 4, 5}) world.save(store, cursor(seq));
    world.copyAsKilled("killed");
    world.copyAsKilled("moved");
  }
  SqliteCursorStore killed(world.folder.at("killed"));
  KJ_EXPECT(world.load(killed) == text(cursor(5)));

  KJ_SYSCALL(rename(world.folder.at("moved/stem.db").cStr(), world.folder.at("away").cStr()));
  SqliteCursorStore moved(world.folder.at("moved"));
  KJ_EXPECT(world.load(moved) == "(none)");

  // And one that was killed while it made the file.
  for (auto name: {"made/stem.db.part", "made/stem.db.part-wal"}) world.folder.write(name, "half");
  KJ_SYSCALL(chmod(world.folder.at("made").cStr(), 0700));
  SqliteCursorStore made(world.folder.at("made"));
  world.save(made, cursor(1));
  KJ_EXPECT(world.folder.list("made").size() == 2);
}

KJ_TEST("a file that cannot be written, or that others can") {
  {
    World world;
    world.saveAnew(3);
    Unprivileged user(world);
    KJ_SYSCALL(chmod(world.path.cStr(), 0400));
    world.expectRefused("cannot be opened for writing (Permission denied)", "file");
    KJ_SYSCALL(chmod(world.path.cStr(), 0600));
    KJ_SYSCALL(chmod(world.data.cStr(), 0500));
    world.expectRefused("cannot be written: it, its folder or the disk is read-only", "folder");
    KJ_SYSCALL(chmod(world.data.cStr(), 0700));
    KJ_EXPECT(world.loadAnew() == text(cursor(3)));
    KJ_SYSCALL(chmod(world.path.cStr(), 0620));
    world.expectRefused("others may write to this file", "mode");
  }
  {
    World world;
    world.saveAnew(3);
    Unprivileged user(world);
    KJ_SYSCALL(unlink(world.path.cStr()));
    KJ_SYSCALL(chmod(world.data.cStr(), 0500));
    auto said = world.reason(SqliteCursorStore(world.data).load(A));
    KJ_EXPECT(contains(said, "stem.db.part: cannot be made (Permission denied)"), said);
  }
}

KJ_TEST("what is no plain file in its place, and no folder in the folder's") {
  World world;
  world.saveAnew(3);
  KJ_SYSCALL(rename(world.path.cStr(), world.folder.at("away").cStr()));
  KJ_SYSCALL(symlink("../away", world.path.cStr()));
  world.expectRefused("cannot be opened for writing (Too many levels of symbolic links)", "link");
  KJ_SYSCALL(unlink(world.path.cStr()));
  KJ_SYSCALL(mkdir(world.path.cStr(), 0700));
  world.expectRefused("cannot be opened for writing (Is a directory)", "folder");
  KJ_SYSCALL(rmdir(world.path.cStr()));
  KJ_SYSCALL(mkfifo(world.path.cStr(), 0600));
  world.expectRefused("this is no plain file", "pipe");

  world.folder.write("file", "in the way");
  auto said = world.reason(SqliteCursorStore(world.folder.at("file")).load(A));
  KJ_EXPECT(contains(said, "file: cannot"), said);
}

KJ_TEST("while another program has it open the call rejects, and the next one tries again") {
  World world;
  world.saveAnew(3);
  SqliteCursorStore store(world.data);
  {
    Other other(world.path);
    other.run("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE");
    auto said = world.reason(store.load(A));
    KJ_EXPECT(contains(said, "another program has this file open; end that one"), said);
  }
  KJ_EXPECT(world.load(store) == text(cursor(3)));
  Other other(world.path);
  KJ_EXPECT_THROW_MESSAGE("database is locked", other.run("SELECT * FROM cursor"));
}

}  // namespace
}  // namespace ww
