#include <ww/node/sqlite-cursor-store.h>

#include <kj/test.h>
#include <unistd.h>
#include <ww/node/cursor-world-test.h>
#include <ww/node/sqlite-disk-test.h>

namespace ww {
namespace {

constexpr uint64_t LARGEST = INT64_MAX;

// What holds of every CursorStore.
void expectKeeps(World& world, CursorStore& store) {
  auto& ws = world.waitScope;
  KJ_EXPECT(world.load(store) == "(none)");
  world.save(store, cursor(3));
  world.save(store, cursor(8), B);
  KJ_EXPECT(world.load(store) == text(cursor(3)));
  KJ_EXPECT(world.load(store, B) == text(cursor(8)));

  auto empty = cursor(4, 0);
  empty.epoch.head = nullptr;
  world.save(store, kj::mv(empty));
  KJ_EXPECT(world.load(store) == text(cursor(4, 0)), "an empty head");
  world.save(store, cursor(4, MAX_HEAD_BYTES));
  KJ_EXPECT(world.load(store) == text(cursor(4, MAX_HEAD_BYTES)), "the longest head");
  auto kept = cursor(4);
  kept.final.number += 100;
  world.save(store, kept.clone());

  auto lower = kj::str("from 4 to 3"), longer = kj::str("1025 bytes; the limit is 1024");
  KJ_EXPECT_THROW_MESSAGE(lower, store.save(A, cursor(3)).wait(ws));
  KJ_EXPECT_THROW_MESSAGE(longer, store.save(A, cursor(5, MAX_HEAD_BYTES + 1)).wait(ws));
  auto elsewhere = cursor(5);
  elsewhere.chainId = 2;
  KJ_EXPECT_THROW_MESSAGE("on chain 1; this is chain 2", store.save(A, kj::mv(elsewhere)).wait(ws));
  KJ_EXPECT(world.load(store) == text(kept), "what was refused changed nothing");

  store.forget(A).wait(ws);
  store.forget(A).wait(ws);
  KJ_EXPECT(world.load(store) == "(none)");
  KJ_EXPECT(world.load(store, B) == text(cursor(8)), "the other's");
  world.save(store, cursor(1));
  KJ_EXPECT(world.load(store) == text(cursor(1)), "forgotten: it may begin anew");
}

KJ_TEST("a store keeps the latest of each contract, and nothing goes back") {
  World world;
  SqliteCursorStore store(world.data);
  expectKeeps(world, store);
  auto memory = MemoryCursorStore();
  expectKeeps(world, memory);
}

KJ_TEST("numbers of 63 bits are kept, larger ones refused") {
  World world;
  SqliteCursorStore store(world.data);
  auto large = cursor(LARGEST, 36);
  large.chainId = large.final.number = large.epoch.adoptedBlock = LARGEST;
  world.save(store, large.clone());
  KJ_EXPECT(world.load(store) == text(large));
  for (auto change: {+[](StemCursor& c) { ++c.chainId; }, +[](StemCursor& c) { ++c.final.number; },
                     +[](StemCursor& c) { ++c.epoch.seq; },
                     +[](StemCursor& c) { ++c.epoch.adoptedBlock; }}) {
    auto larger = large.clone();
    change(larger);
    auto said = world.reason(store.save(A, kj::mv(larger)));
    KJ_EXPECT(contains(said, "a number does not fit: 9223372036854775808"), said);
  }
  KJ_EXPECT(world.load(store) == text(large));
}

KJ_TEST("it outlives the store, in a file of its user's only") {
  World world;
  {
    SqliteCursorStore store(world.data);
    world.save(store, cursor(3));
    for (auto& name: world.folder.list("data")) {
      KJ_EXPECT(world.folder.mode(kj::str("data/", name)) == 0600, name);
    }
  }
  KJ_EXPECT(world.folder.mode("data") == 0700);
  KJ_EXPECT(world.loadAnew() == text(cursor(3)));
  KJ_SYSCALL(symlink("data", world.folder.at("link").cStr()));
  SqliteCursorStore store(world.folder.at("link"));
  KJ_EXPECT(world.load(store) == text(cursor(3)), "the folder may be a link");
  KJ_EXPECT(contains(world.reason(store.save(A, cursor(2))), "from 3 to 2"));
}

KJ_TEST("what is saved, forgotten or loaded is on the disk") {
  World world;
  SqliteTestDisk disk;
  {
    SqliteCursorStore store(world.data);
    for (uint64_t seq = 0; seq < 50; seq++) {  // the log begins anew meanwhile
      world.save(store, cursor(seq));
      KJ_EXPECT(disk.isSynced(), seq);
    }
    store.forget(B).wait(world.waitScope);
    KJ_EXPECT(disk.isSynced());

    // A log that only the system's memory has.
    world.copyAsKilled("killed");
  }
  KJ_EXPECT(world.folder.read("killed/stem.db-wal").size() > 0);
  SqliteCursorStore store(world.folder.at("killed"));
  KJ_EXPECT(world.load(store) == text(cursor(49)));
  KJ_EXPECT(world.folder.read("killed/stem.db-wal").size() == 0, "not brought to the disk");
  KJ_EXPECT(disk.isSynced());
}

KJ_TEST("the loop never waits for the disk; a dropped promise gives nothing up") {
  World world;
  SqliteTestDisk disk;
  SqliteCursorStore store(world.data);
  disk.hold();
  auto loaded = store.load(A);
  disk.untilSomebodyWaits();
  KJ_EXPECT(!loaded.poll(world.waitScope));
  { auto dropped = store.save(A, cursor(1)); }
  { auto dropped = store.save(A, cursor(2)); }
  auto refused = store.save(A, cursor(1));
  auto after = store.load(A);
  KJ_EXPECT(!after.poll(world.waitScope));
  disk.release();
  KJ_EXPECT(text(loaded.wait(world.waitScope)) == "(none)");
  KJ_EXPECT(contains(world.reason(kj::mv(refused)), "from 2 to 1"));
  KJ_EXPECT(text(after.wait(world.waitScope)) == text(cursor(2)));
}

KJ_TEST("a store that goes while it works ends its work first, whoever still listens") {
  World world;
  SqliteTestDisk disk;
  for (bool isOpen: {false, true}) {
    uint64_t seq = isOpen ? 7 : 3;
    auto store = kj::heap<SqliteCursorStore>(world.data);
    if (isOpen) world.load(*store);
    disk.hold();
    auto saved = store->save(A, cursor(seq));
    { auto dropped = store->save(A, cursor(seq + 1)); }
    disk.untilSomebodyWaits();
    kj::Thread releases([&]() { disk.release(); });
    store = nullptr;
    KJ_EXPECT(saved.poll(world.waitScope), "after all work nothing is to be waited for");
    saved.wait(world.waitScope);
    KJ_EXPECT(world.loadAnew() == text(cursor(seq + 1)));
  }
}

KJ_TEST("a loop that goes while the store works is not told") {
  TempFolder folder;
  SqliteTestDisk disk;
  disk.hold();
  kj::Maybe<kj::Own<SqliteCursorStore>> store;
  {
    kj::EventLoop loop;
    kj::WaitScope waitScope(loop);
    store = kj::heap<SqliteCursorStore>(folder.at("data"));
    auto saved = KJ_ASSERT_NONNULL(store)->save(A, cursor(3));
    disk.untilSomebodyWaits();
  }
  disk.release();
  store = nullptr;
  KJ_EXPECT(folder.mode("data/stem.db") == 0600);
}

KJ_TEST("a disk that is full or fails: the call says so, and what was saved before stands") {
  World world;
  SqliteTestDisk disk;
  SqliteCursorStore store(world.data);
  world.save(store, cursor(3));
  auto expect = [&](kj::StringPtr why) {
    for (int i = 0; i < 2; i++) {
      auto said = world.reason(store.save(A, cursor(4)));
      KJ_EXPECT(said.startsWith(world.path) && contains(said, why), said);
    }
    KJ_EXPECT(world.load(store) == text(cursor(3)));
  };
  disk.onWrite(SQLITE_FULL);
  expect("the disk is full; make room on it");
  disk.onWrite(SQLITE_IOERR_WRITE);
  expect("cannot be read or written (disk I/O error");
  disk.onWrite(SQLITE_OK);
  disk.onSync(SQLITE_IOERR_FSYNC);
  expect("cannot be read or written (disk I/O error");
  disk.onSync(SQLITE_OK);
  world.save(store, cursor(5));
  KJ_EXPECT(world.load(store) == text(cursor(5)));
}

KJ_TEST("a full disk when the file is made leaves none, and the next call makes it") {
  World world;
  SqliteTestDisk disk;
  SqliteCursorStore store(world.data);
  disk.onWrite(SQLITE_FULL);
  auto said = world.reason(store.save(A, cursor(4)));
  KJ_EXPECT(said.startsWith(world.path) && contains(said, "the disk is full"), said);
  KJ_EXPECT(access(world.path.cStr(), F_OK) < 0);
  disk.onWrite(SQLITE_OK);
  world.save(store, cursor(4));
  KJ_EXPECT(world.load(store) == text(cursor(4)));
}

}  // namespace
}  // namespace ww
