// What the store keeps, for whom, and what goes to make room; damage and full disks leave the rest.
#include <ww/node/image-store.h>

#include <fcntl.h>
#include <kj/test.h>
#include <string.h>
#include <ww/node/image-store-fixture-test.h>
#include <ww/node/sqlite-disk-test.h>

namespace ww {
namespace {

KJ_TEST("a block is found again, by another process too, and of any size up to the limit") {
  Fixture f(16 << 20);
  FakeClock clock;
  ImageStore other(f.folder.at("images"), 16 << 20, clock, f.logger);
  KJ_EXPECT(f.store->find(cidOf(1)) == nullptr);
  for (auto size: {size_t(0), size_t(1), KIB, MAX_BLOCK_BYTES}) {
    f.store->put(cidOf(1, size), block(1, size));
    KJ_EXPECT(KJ_ASSERT_NONNULL(other.find(cidOf(1, size))) == block(1, size));
  }
  auto why = failure([&]() {
    f.store->put(cidOf(1, MAX_BLOCK_BYTES + 1), block(1, MAX_BLOCK_BYTES + 1));
  });
  KJ_EXPECT(has(why, "the limit is"), why);
  f.store->put(cidOf(1), block(1));  // once more is no more
  KJ_EXPECT(f.store->getBytes() == 1 + KIB + MAX_BLOCK_BYTES);
  f.open(16 << 20);
  KJ_EXPECT(f.isThere(1) && f.isThere(1, MAX_BLOCK_BYTES));
}

KJ_TEST("an image has a name, which moves, and what it holds is counted") {
  Fixture f;
  f.addImage({1, 2, 3});
  f.addImage({4, 2});
  f.store->setName(cidOf(1), "app");
  auto image = f.get("app");
  KJ_EXPECT(image.cid == cidOf(1) && image.blocks == 3 && image.bytes == 3 * KIB && image.whole);
  KJ_EXPECT(!image.pinned && !image.inUse);
  KJ_EXPECT(f.store->getBytes() == 4 * KIB);
  f.store->setName(cidOf(4), "app");
  KJ_EXPECT(f.get("app").cid == cidOf(4) && f.get(f.get(1)).name == nullptr);
  KJ_EXPECT(f.store->findImage("none") == nullptr);
  KJ_EXPECT(f.store->list().size() == 2 && f.store->list()[0].cid == cidOf(1));
  auto why = failure([&]() { f.store->setName(cidOf(9), "b"); });
  KJ_EXPECT(has(why, "there is no image") && has(why, f.get(9)), why);
}

KJ_TEST("a name is a short word, and no content id") {
  for (auto good: {"a", "my-app.v1", "Team:app@2", "0"}) requireImageName(good);
  auto tooLong = kj::strArray(kj::repeat('a', 101), "");
  auto cid = cidOf(1).toText();
  for (kj::StringPtr bad: {""_kj, "-a"_kj, ".a"_kj, "a/b"_kj, "a b"_kj, "a\n"_kj, "ä"_kj,
                           "app.car"_kj, kj::StringPtr(tooLong), kj::StringPtr(cid)}) {
    KJ_EXPECT(has(failure([&]() { requireImageName(bad); }), "name"), bad);
  }
}

KJ_TEST("an image's blocks go with it, but for those that another has") {
  Fixture f;
  f.addImage({1, 2, 3});
  f.addImage({4, 2});
  auto collected = f.store->remove(cidOf(1));
  KJ_EXPECT(collected.images == 1 && collected.blocks == 2 && collected.bytes == 2 * KIB);
  KJ_EXPECT(!f.isThere(1) && f.isThere(2) && !f.isThere(3) && f.isThere(4));
  KJ_EXPECT(has(failure([&]() { f.store->remove(cidOf(1)); }), "there is no image"));
}

KJ_TEST("to make room the longest unused goes: of no image first, never pinned or in use") {
  Fixture f(8 * KIB);
  f.addImage({1, 2});
  f.addImage({3, 4});
  f.addImage({5, 6});
  f.store->put(cidOf(7), block(7));
  f.store->setPinned(cidOf(1), true);
  auto kept = f.store->keep(cidOf(3));  // by which it is used, too
  KJ_EXPECT(f.get(f.get(3)).inUse);
  f.store->put(cidOf(8), block(8));
  f.store->put(cidOf(9), block(9));  // 7 goes
  KJ_EXPECT(!f.isThere(7) && f.isThere(5) && f.isThere(9));
  f.addImage({10, 11, 12});  // 8, 9 and then the image of 5 go
  KJ_EXPECT(f.isThere(1) && f.isThere(3) && !f.isThere(5) && f.isThere(12));
  KJ_EXPECT(f.store->findImage(f.get(5)) == nullptr);
  auto why = failure([&]() { f.addImage({20, 21, 22, 23, 24, 25, 26}); });
  KJ_EXPECT(has(why, "the store is full") && has(why, "--store-size"), why);
  KJ_EXPECT(f.isThere(1) && f.isThere(2) && f.isThere(3) && f.isThere(4));
  KJ_EXPECT(f.store->getBytes() <= 8 * KIB);
}

KJ_TEST("one that is in use is not removed, by this process or another; it may be once it is not") {
  Fixture f;
  f.addImage({1, 2});
  ImageStore other(f.folder.at("images"), 1 << 20, f.clock, f.logger);
  auto kept = f.store->keep(cidOf(1));
  for (auto store: {f.store.get(), &other}) {
    KJ_EXPECT(has(failure([&]() { store->remove(cidOf(1)); }), "in use"));
    KJ_EXPECT(store->collect(0).images == 0);
  }
  kept = nullptr;
  KJ_EXPECT(other.collect(0).images == 1 && f.store->getBytes() == 0);
}

KJ_TEST("a collection leaves what is asked for, and the file shrinks") {
  Fixture f(64 << 20);
  for (kj::byte i = 1; i <= 8; i++) f.addImage({i}, 1 << 20);
  f.store->setPinned(cidOf(2, 1 << 20), true);
  auto collected = f.store->collect(2 << 20);
  KJ_EXPECT(collected.images == 6 && collected.bytes == 6 << 20);
  KJ_EXPECT(f.isThere(2, 1 << 20) && f.isThere(8, 1 << 20) && !f.isThere(7, 1 << 20));
  f.store = nullptr;
  KJ_EXPECT(f.folder.read("images/blocks.db").size() < 4 << 20);
}

KJ_TEST("what was fetched in part is said to be, and goes on where it was") {
  Fixture f;
  {
    auto image = f.store->keep(cidOf(1));
    image->put(cidOf(1), block(1));
    KJ_EXPECT(!image->isWhole());
  }
  KJ_EXPECT(!f.get(f.get(1)).whole && f.get(f.get(1)).blocks == 1);
  f.store->put(cidOf(2), block(2));
  auto image = f.store->keep(cidOf(1));
  KJ_EXPECT(image->find(cidOf(2)) != nullptr && image->find(cidOf(3)) == nullptr);
  image->finish();
  KJ_EXPECT(f.get(f.get(1)).whole && f.get(f.get(1)).blocks == 2);
}

KJ_TEST("an image without a root yet is kept, and leaves its blocks to those that have one") {
  Fixture f(4 * KIB);
  {
    auto draft = f.store->begin();
    for (kj::byte number: {1, 2, 3}) draft->put(cidOf(number), block(number));
    KJ_EXPECT(f.store->list().size() == 0);
    KJ_EXPECT(has(failure([&]() { f.store->put(cidOf(4, 2 * KIB), block(4, 2 * KIB)); }), "full"));
    auto image = f.store->keep(cidOf(1));
    KJ_EXPECT(image->find(cidOf(1)) != nullptr && image->find(cidOf(2)) != nullptr);
    image->finish();
  }
  KJ_EXPECT(f.store->list().size() == 1 && f.get(f.get(1)).blocks == 2);
  f.store->setPinned(cidOf(1), true);
  f.store->put(cidOf(5), block(5));
  f.store->put(cidOf(6), block(6));  // for which 3 goes
  KJ_EXPECT(f.isThere(1) && f.isThere(2) && !f.isThere(3) && f.isThere(6));
}

// As another process has it.
bool isWritten(Fixture& f, kj::byte number, size_t size = KIB) {
  ImageStore other(f.folder.at("images"), 1 << 20, f.clock, f.logger);
  return other.find(cidOf(number, size)) != nullptr;
}

KJ_TEST("blocks wait to be written: so many, so large, so long, or until their image is let go") {
  Fixture f(64 << 20);
  auto image = f.store->keep(cidOf(1));
  image->put(cidOf(1), block(1));
  KJ_EXPECT(f.store->getBytes() == KIB);
  KJ_EXPECT(!isWritten(f, 1) && f.isThere(1) && image->find(cidOf(1)) != nullptr);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.store->findShared(cidOf(1))) == block(1));
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.store->findSharedSize(cidOf(1))) == KIB);

  f.clock.time += BATCH_TIME;
  image->put(cidOf(2), block(2));  // before which the first is written
  KJ_EXPECT(isWritten(f, 1) && !isWritten(f, 2));

  for (size_t i = 1; i < BATCH_BLOCKS; i++) image->put(cidOf(2), block(2));  // once more is not new
  KJ_EXPECT(!isWritten(f, 2));
  image->put(cidOf(3), block(3));
  KJ_EXPECT(isWritten(f, 2) && !isWritten(f, 3));

  constexpr size_t MOST = MAX_BLOCK_BYTES;
  for (kj::byte number: {4, 5}) image->put(cidOf(number, MOST), block(number, MOST));
  KJ_EXPECT(isWritten(f, 3) && !isWritten(f, 5, MOST));
  image = nullptr;
  KJ_EXPECT(isWritten(f, 5, MOST));
  auto stored = f.get(f.get(1));
  KJ_EXPECT(stored.blocks == 5 && stored.bytes == 3 * KIB + 2 * MOST && !stored.whole);
}

KJ_TEST("what one image put and another found is both's, though it is not written yet") {
  Fixture f;
  auto first = f.store->keep(cidOf(1)), second = f.store->keep(cidOf(4));
  for (kj::byte number: {1, 2}) first->put(cidOf(number), block(number));
  KJ_EXPECT(KJ_ASSERT_NONNULL(second->find(cidOf(2))) == block(2));
  second->put(cidOf(4), block(4));
  second->finish();
  first->finish();
  KJ_EXPECT(f.get(f.get(1)).blocks == 2 && f.get(f.get(4)).blocks == 2);
  KJ_EXPECT(f.store->getBytes() == 3 * KIB);
}

KJ_TEST("what is found again takes no room, however full the store is") {
  Fixture f(2 * KIB);
  f.addImage({1, 2});
  f.store->setPinned(cidOf(1), true);
  auto draft = f.store->begin();
  for (kj::byte number: {1, 2}) KJ_EXPECT(draft->find(cidOf(number)) != nullptr);
  KJ_EXPECT(f.store->list().size() == 1 && f.store->getBytes() == 2 * KIB);
}

KJ_TEST("peers are given blocks of images alone") {
  Fixture f;
  f.addImage({1});
  f.store->put(cidOf(2), block(2));
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.store->findShared(cidOf(1))) == block(1));
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.store->findSharedSize(cidOf(1))) == KIB);
  KJ_EXPECT(f.store->findShared(cidOf(2)) == nullptr);
}

KJ_TEST("a block that rotted is gone, its image is whole no more, and can be made so again") {
  Fixture f;
  f.addImage({1, 2});
  f.addImage({3});
  damage(f.folder, cidOf(2));
  KJ_EXPECT(!f.isThere(2) && f.isThere(1) && f.isThere(3));
  KJ_EXPECT(f.logger.getLines().size() == 1 && has(f.logger.getLines()[0], "damaged"));
  KJ_EXPECT(!f.get(f.get(1)).whole && f.get(f.get(3)).whole);
  f.addImage({1, 2});
  KJ_EXPECT(f.isThere(2) && f.get(f.get(1)).whole);
}

KJ_TEST("a check looks at each block, and names the damaged ones and the images that miss some") {
  Fixture f;
  f.addImage({1, 2});
  f.addImage({3});
  auto good = f.store->verify([](uint64_t, uint64_t) {});
  KJ_EXPECT(good.blocks == 3 && good.bytes == 3 * KIB && good.damaged.empty());
  KJ_EXPECT(good.incomplete.empty());
  damage(f.folder, cidOf(2));
  uint64_t told = 0;
  auto bad = f.store->verify([&](uint64_t done, uint64_t all) {
    KJ_EXPECT(done == ++told && all == 3);
  });
  KJ_EXPECT(told == 3 && bad.damaged.size() == 1 && bad.damaged[0] == cidOf(2));
  KJ_EXPECT(bad.incomplete.size() == 1 && bad.incomplete[0] == cidOf(1));
  KJ_EXPECT(f.store->getBytes() == 2 * KIB);
}

KJ_TEST("a disk that is full is said to be; the store is as it was, and works once there is room") {
  SqliteTestDisk disk;
  Fixture f;
  f.addImage({1, 2});
  for (auto code: {SQLITE_FULL, SQLITE_IOERR_WRITE}) {
    disk.onWrite(code);
    auto why = failure([&]() { f.store->put(cidOf(3), block(3)); });
    auto expected = code == SQLITE_FULL ? "the disk is full; make room" : "see to the disk";
    KJ_EXPECT(has(why, expected), why);
    KJ_EXPECT(has(why, "blocks.db"), why);
    why = failure([&]() { f.store->keep(cidOf(3)); });
    KJ_EXPECT(has(why, "blocks.db"), why);
    KJ_EXPECT(f.isThere(1) && f.isThere(2) && !f.isThere(3));
    disk.onWrite(SQLITE_OK);
    auto check = f.store->verify([](uint64_t, uint64_t) {});
    KJ_EXPECT(check.blocks == 2 && check.damaged.empty() && check.incomplete.empty());
  }
  f.addImage({3});
  KJ_EXPECT(f.isThere(3));
}

KJ_TEST("an image whose blocks the disk did not take is not whole; it is once there is room") {
  SqliteTestDisk disk;
  Fixture f;
  auto image = f.store->keep(cidOf(1));
  disk.onWrite(SQLITE_FULL);
  for (kj::byte number: {1, 2}) image->put(cidOf(number), block(number));
  KJ_EXPECT(has(failure([&]() { image->finish(); }), "the disk is full; make room"));
  KJ_EXPECT(!image->isWhole() && !isWritten(f, 1));
  f.clock.time += BATCH_TIME;
  KJ_EXPECT(has(failure([&]() { image->put(cidOf(3), block(3)); }), "the disk is full"));
  disk.onWrite(SQLITE_OK);
  image->finish();
  KJ_EXPECT(f.get(f.get(1)).whole && f.get(f.get(1)).blocks == 2);
}

KJ_TEST("an image that is let go while the disk is full takes nothing of another's along") {
  SqliteTestDisk disk;
  Fixture f;
  auto given = f.store->keep(cidOf(1)), kept = f.store->keep(cidOf(3));
  for (kj::byte number: {1, 2}) given->put(cidOf(number), block(number));
  for (kj::byte number: {3, 2}) kept->put(cidOf(number), block(number));
  disk.onWrite(SQLITE_FULL);
  given = nullptr;
  KJ_EXPECT(f.logger.getLines().size() == 1 && has(f.logger.getLines()[0], "the disk is full"));
  disk.onWrite(SQLITE_OK);
  kept->finish();
  KJ_EXPECT(f.get(f.get(3)).blocks == 2 && f.isThere(2) && !f.isThere(1));
  KJ_EXPECT(f.get(f.get(1)).blocks == 0 && !f.get(f.get(1)).whole);
}

KJ_TEST("what two who keep one image put is lost by neither where the other lets go") {
  SqliteTestDisk disk;
  Fixture f;
  auto one = f.store->keep(cidOf(1)), other = f.store->keep(cidOf(1));
  for (kj::byte number: {1, 2}) one->put(cidOf(number), block(number));
  disk.onWrite(SQLITE_FULL);
  one = nullptr;
  KJ_EXPECT(f.isThere(2) && f.logger.getLines().size() == 0);
  disk.onWrite(SQLITE_OK);
  other->finish();
  KJ_EXPECT(f.get(f.get(1)).blocks == 2 && f.get(f.get(1)).whole);
}

KJ_TEST("what waits of an image that was removed meanwhile is of no image") {
  Fixture f;
  ImageStore other(f.folder.at("images"), 1 << 20, f.clock, f.logger);
  {
    SqliteFile file(f.folder.at("images/blocks.db"));
    auto image = f.store->keep(cidOf(1));
    image->put(cidOf(1), block(1));
    SqliteTransaction writer(file);
    image = nullptr;
  }
  KJ_EXPECT(other.remove(cidOf(1)).images == 1);
  KJ_EXPECT(f.store->list().size() == 0 && f.isThere(1));
  KJ_EXPECT(f.store->collect(0).blocks == 1);
}

KJ_TEST("an image is pinned, though another's blocks find no room") {
  Fixture f(4 * KIB);
  f.addImage({1, 2});
  auto image = f.store->keep(cidOf(3));
  for (kj::byte number: {3, 4, 5}) image->put(cidOf(number), block(number));
  f.store->setPinned(cidOf(1), true);
  KJ_EXPECT(f.isThere(1) && f.isThere(2) && f.get(f.get(1)).pinned);
  KJ_EXPECT(has(failure([&]() { image->finish(); }), "the store is full"));
}

KJ_TEST("what is finished or pinned is synced") {
  SqliteTestDisk disk;
  Fixture f;
  f.store->put(cidOf(1), block(1));
  KJ_EXPECT(!disk.isSynced());
  f.addImage({2, 3});
  KJ_EXPECT(disk.isSynced());
  f.store->put(cidOf(4), block(4));
  f.store->setPinned(cidOf(2), true);
  KJ_EXPECT(disk.isSynced());
}

IpnsName nameOf(uint64_t number) {
  PublicKey key;
  memset(key.bytes, 7, sizeof(key.bytes));
  memcpy(key.bytes, &number, sizeof(number));
  return IpnsName::of(key);
}

KJ_TEST("how new a name's record was outlives the process, and only a newer one replaces it") {
  Fixture f;
  auto sequence = [&](ImageStore& store, uint64_t name) {
    return store.findSeen(nameOf(name)).map([](auto& seen) { return seen.sequence; });
  };
  FakeClock clock;
  ImageStore other(f.folder.at("images"), 1 << 20, clock, f.logger);
  KJ_EXPECT(sequence(*f.store, 1) == nullptr);
  f.store->setSeen(nameOf(1), {UINT64_MAX, 1000});
  f.store->setSeen(nameOf(2), {3, 1000});
  f.open(1 << 20);
  KJ_EXPECT(sequence(*f.store, 1) == UINT64_MAX && sequence(other, 2) == 3);
  f.store->setSeen(nameOf(2), {2, 2000});
  f.store->setSeen(nameOf(2), {3, 999});
  KJ_EXPECT(KJ_ASSERT_NONNULL(other.findSeen(nameOf(2))).until == 1000);
  other.setSeen(nameOf(2), {3, 1001});
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.store->findSeen(nameOf(2))).until == 1001);
  KJ_EXPECT(sequence(*f.store, 3) == nullptr);
}

KJ_TEST("a name that was seen is on the disk, and as old a one costs no wait for it") {
  SqliteTestDisk disk;
  Fixture f;
  f.store->setSeen(nameOf(1), {1, 1000});
  KJ_EXPECT(disk.isSynced());
  f.store->setSeen(nameOf(1), {1, 1000});
  KJ_EXPECT(!disk.isSynced());
}

KJ_TEST("so many names are kept, those that were looked for last") {
  Fixture f;
  for (uint64_t i = 0; i <= ImageStore::MAX_NAMES; i++) {
    f.store->setSeen(nameOf(i), {i, 1000});
    if (i % 100 == 0) f.clock.time += 1 * kj::SECONDS;
    if (i == 1000) f.store->setSeen(nameOf(0), {0, 1000});
  }
  KJ_EXPECT(f.store->findSeen(nameOf(0)) != nullptr);
  KJ_EXPECT(f.store->findSeen(nameOf(ImageStore::MAX_NAMES)) != nullptr);
  size_t kept = 0;
  for (uint64_t i = 0; i <= ImageStore::MAX_NAMES; i++) {
    kept += f.store->findSeen(nameOf(i)) != nullptr;
  }
  KJ_EXPECT(kept == ImageStore::MAX_NAMES);
}

KJ_TEST("a store that was made before names were kept gets a place for them") {
  Fixture f;
  f.addImage({1, 2});
  f.store = nullptr;
  SqliteFile(f.folder.at("images/blocks.db")).run("DROP TABLE name");
  f.open(1 << 20);
  KJ_EXPECT(f.isThere(2) && f.store->findSeen(nameOf(1)) == nullptr);
  f.store->setSeen(nameOf(1), {1, 1000});
  KJ_EXPECT(f.store->findSeen(nameOf(1)) != nullptr);
}

KJ_TEST("what is no such file is refused by name, and left as it is") {
  auto open = [](TempFolder& folder) {
    return failure([&]() {
      FakeClock clock;
      MemoryLogger logger;
      ImageStore store(folder.at("images"), 1 << 20, clock, logger);
    });
  };
  TempFolder nonsense, foreign, newer, open2;
  nonsense.write("images/blocks.db", "this is no database, however long one looks at it. It is");
  chmod(nonsense.at("images").cStr(), 0700);
  auto why = open(nonsense);
  KJ_EXPECT(has(why, "blocks.db") && has(why, "move it away"), why);
  for (auto folder: {&foreign, &newer}) {
    folder->write("images/blocks.db", "");
    chmod(folder->at("images").cStr(), 0700);
  }
  SqliteFile(foreign.at("images/blocks.db")).run("CREATE TABLE theirs (a)");
  KJ_EXPECT(has(open(foreign), "another program's"));
  SqliteFile(newer.at("images/blocks.db")).run("PRAGMA application_id=2004304203; "
                                               "PRAGMA user_version=7");
  KJ_EXPECT(has(open(newer), "another version"));
  open2.write("images/blocks.db", "", 0666);
  chmod(open2.at("images").cStr(), 0700);
  KJ_EXPECT(has(open(open2), "others may write"));
}

}  // namespace
}  // namespace ww
