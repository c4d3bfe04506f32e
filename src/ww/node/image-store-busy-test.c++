// A store while other processes write to it, and where the disk takes nothing: what is there is
// read, what comes waits, and whoever collects lets others have their turn.
#include <ww/node/image-store.h>

#include <fcntl.h>
#include <kj/debug.h>
#include <kj/test.h>
#include <sys/file.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/node/image-store-fixture-test.h>
#include <ww/node/sqlite-disk-test.h>

namespace ww {
namespace {

constexpr auto BUSY = "other processes write to this file"_kj;
constexpr kj::uint MANY = 200;  // of more than a step

// Writes while it lives, as another process does.
struct Writer {
  explicit Writer(Fixture& f): file(f.folder.at("images/blocks.db")), transaction(file) {}

  SqliteFile file;
  SqliteTransaction transaction;
};

// Blocks that differ by their sizes, the first of which is its root.
void addMany(Fixture& f, kj::byte number) {
  auto image = f.store->keep(cidOf(number));
  for (kj::uint i = 0; i < MANY; i++) image->put(cidOf(number, KIB + i), block(number, KIB + i));
  image->finish();
}

struct Loop {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};

  // How long it took by the timer, and why it failed if it did.
  kj::String end(kj::Promise<void> promise, kj::Function<void(kj::Duration)> onStep) {
    auto begin = timer.now();
    while (!promise.poll(waitScope)) {
      timer.advanceTo(KJ_ASSERT_NONNULL(timer.nextEvent()));
      onStep(timer.now() - begin);
    }
    return failure([&]() { promise.wait(waitScope); });
  }
};

KJ_TEST("who opens a store to change it waits for another that opens it, and not for ever") {
  Fixture f;
  f.addImage({1});
  auto path = f.folder.at("images/open.lock");
  kj::AutoCloseFd held(open(path.cStr(), O_RDWR | O_CLOEXEC));
  KJ_SYSCALL(flock(held, LOCK_EX));
  auto open = [&](ImageStore::Access access, ImageStore::Rest rest) {
    ImageStore other(f.folder.at("images"), 64 << 20, f.clock, f.logger, access, kj::mv(rest));
    return other.find(cidOf(1)) != nullptr;
  };
  auto waited = 0 * kj::SECONDS;
  auto wait = [&](kj::Duration time) { waited += time; };
  KJ_EXPECT(open(ImageStore::Access::READ, wait) && waited == 0 * kj::SECONDS);
  auto why = failure([&]() { open(ImageStore::Access::CHANGE, wait); });
  KJ_EXPECT(why.startsWith(kj::str(path, ": another process has had this file for 30 s")), why);
  KJ_EXPECT(waited == 30 * kj::SECONDS);
  kj::uint rests = 0;
  KJ_EXPECT(open(ImageStore::Access::CHANGE, [&](kj::Duration) {
    if (++rests == 3) { KJ_SYSCALL(flock(held, LOCK_UN)); }
  }));
  KJ_EXPECT(rests == 3, rests);
}

KJ_TEST("who reads a store that is not all there yet takes its turn to make it") {
  Fixture f;
  f.store = nullptr;
  auto path = f.folder.at("images/blocks.db");
  for (bool begun: {false, true}) {
    KJ_SYSCALL(unlink(path.cStr()));
    if (begun) SqliteFile(path, {.create = true}).run("PRAGMA journal_mode=WAL");
    kj::AutoCloseFd held(::open(f.folder.at("images/open.lock").cStr(), O_RDWR | O_CLOEXEC));
    KJ_SYSCALL(flock(held, LOCK_EX));
    kj::uint rests = 0;
    ImageStore other(f.folder.at("images"), 64 << 20, f.clock, f.logger, ImageStore::Access::READ,
                     [&](kj::Duration) {
      if (++rests == 3) { KJ_SYSCALL(flock(held, LOCK_UN)); }
    });
    KJ_EXPECT(rests == 3 && other.list().size() == 0, rests);
  }
  KJ_EXPECT(f.logger.getLines().size() == 0);
}

KJ_TEST("an image that is there is read on a disk that is full, long after it was read last") {
  SqliteTestDisk disk;
  Fixture f;
  addMany(f, 1);
  f.addImage({2});
  f.clock.time += 1 * kj::HOURS;
  disk.onWrite(SQLITE_FULL);
  {
    auto image = f.store->keep(cidOf(1));
    KJ_EXPECT(image->isWhole());
    for (kj::uint i = 0; i < MANY; i++) {
      KJ_EXPECT(image->find(cidOf(1, KIB + i)) != nullptr);
      f.clock.time += 1 * kj::MINUTES;
    }
  }
  KJ_EXPECT(f.isThere(2) && f.store->findShared(cidOf(2)) != nullptr);
  KJ_EXPECT(f.store->list().size() == 2 && f.logger.getLines().size() == 0);
  auto before = f.get(f.get(1)).used;
  disk.onWrite(SQLITE_OK);
  KJ_EXPECT(f.store->keep(cidOf(1))->isWhole() && f.get(f.get(1)).used > before);
}

KJ_TEST("an image of which nothing could be written is none that misses blocks") {
  SqliteTestDisk disk;
  Fixture f;
  auto image = f.store->keep(cidOf(1));
  image->put(cidOf(1), block(1));
  disk.onWrite(SQLITE_FULL);
  image = nullptr;
  disk.onWrite(SQLITE_OK);
  KJ_EXPECT(f.store->verify([](uint64_t, uint64_t) {}).incomplete.empty());
  f.store->keep(cidOf(1))->put(cidOf(1), block(1));
  KJ_EXPECT(f.store->verify([](uint64_t, uint64_t) {}).incomplete.size() == 1);
}

KJ_TEST("what is there is read while another process writes, and listed, and kept") {
  Fixture f;
  f.addImage({1, 2});
  f.clock.time += 1 * kj::HOURS;
  Writer writer(f);
  auto image = f.store->keep(cidOf(1));
  KJ_EXPECT(image->isWhole() && image->find(cidOf(2)) != nullptr && f.isThere(1));
  KJ_EXPECT(f.store->list().size() == 1 && f.get(f.get(1)).inUse);
  image = nullptr;
  KJ_EXPECT(!f.get(f.get(1)).inUse);
}

KJ_TEST("what comes while another process writes is there at once, and written when it can be") {
  Fixture f;
  auto image = f.store->keep(cidOf(1));
  auto writer = kj::heap<Writer>(f);
  for (kj::uint i = 0; i < 2 * BATCH_BLOCKS; i++) {
    image->put(cidOf(1, KIB + i), block(1, KIB + i));
    f.clock.time += 1 * kj::MILLISECONDS;
  }
  KJ_EXPECT(f.isThere(1, KIB) && f.isThere(1, KIB + 2 * BATCH_BLOCKS - 1));
  writer = nullptr;
  image->finish();
  KJ_EXPECT(f.get(f.get(1)).blocks == 2 * BATCH_BLOCKS && f.get(f.get(1)).whole);
}

KJ_TEST("an image is let go while another process writes, and what came of it is written later") {
  Fixture f;
  auto image = f.store->keep(cidOf(1));
  for (kj::byte number: {1, 2}) image->put(cidOf(number), block(number));
  {
    Writer writer(f);
    image = nullptr;
    KJ_EXPECT(f.isThere(1) && f.isThere(2) && f.logger.getLines().size() == 0);
  }
  KJ_EXPECT(f.get(f.get(1)).blocks == 2 && !f.get(f.get(1)).whole);
}

KJ_TEST("that a name's record was seen is written by the timer, and where it cannot be, told") {
  Fixture f;
  Loop loop;
  auto names = f.store->makeNames(loop.timer);
  PublicKey key;
  memset(key.bytes, 7, sizeof(key.bytes));
  auto name = IpnsName::of(key);
  auto writer = kj::heap<Writer>(f);
  kj::Duration took = 0 * kj::SECONDS;
  auto why = loop.end(names->setSeen(name, {2, 1000}), [&](kj::Duration passed) {
    if ((took = passed) >= 1 * kj::SECONDS) writer = nullptr;
  });
  KJ_EXPECT(why == "nothing went wrong" && took >= 1 * kj::SECONDS, why);
  KJ_EXPECT(KJ_ASSERT_NONNULL(f.store->findSeen(name)).sequence == 2);
  writer = kj::heap<Writer>(f);
  why = loop.end(names->setSeen(name, {3, 1000}), [](kj::Duration) {});
  KJ_EXPECT(why.startsWith(kj::str("/ipns/", name.toText(), ": ")) && has(why, BUSY), why);
}

KJ_TEST("a turn to write is waited for by the timer, and not for ever") {
  Fixture f;
  Loop loop;
  kj::Own<ImageStore::Kept> image;
  auto writer = kj::heap<Writer>(f);
  auto why = loop.end(f.store->whenFree(loop.timer, [&]() { image = f.store->keep(cidOf(1)); }),
                      [&](kj::Duration passed) {
    KJ_EXPECT(image.get() == nullptr);
    if (passed >= 1 * kj::SECONDS) writer = nullptr;
  });
  KJ_EXPECT(why == "nothing went wrong" && image.get() != nullptr, why);

  // Also by what itself tries what may fail: the thread would wait, which has the writer end.
  f.addImage({2});
  writer = kj::heap<Writer>(f);
  kj::Duration took = 0 * kj::SECONDS;
  why = loop.end(f.store->whenFree(loop.timer, [&]() {
    f.store->list();
    f.store->setPinned(cidOf(2), true);
  }), [&](kj::Duration passed) {
    took = passed;
    if (passed >= 1 * kj::SECONDS) writer = nullptr;
  });
  KJ_EXPECT(why == "nothing went wrong" && took < 2 * kj::SECONDS, why, took);

  writer = kj::heap<Writer>(f);
  why = loop.end(f.store->whenFree(loop.timer, [&]() { image->finish(); }),
                 [&](kj::Duration passed) { took = passed; });
  KJ_EXPECT(has(why, BUSY) && has(why, "blocks.db"), why);
  KJ_EXPECT(took >= 30 * kj::SECONDS && took < 31 * kj::SECONDS, took);
  writer = nullptr;
  KJ_EXPECT(loop.end(f.store->whenFree(loop.timer, []() {
    kj::throwFatalException(badInput("another reason"));
  }), [](kj::Duration) { KJ_FAIL_EXPECT("only a turn is waited for"); }) == "another reason");
}

KJ_TEST("who removes and collects lets others write, in between and while the file shrinks") {
  Fixture f(64 << 20);
  addMany(f, 1);
  addMany(f, 2);
  for (kj::byte number = 3; number < 13; number++) f.addImage({number}, 1 << 20);
  ImageStore other(f.folder.at("images"), 64 << 20, f.clock, f.logger);
  kj::uint rests = 0, shrinking = 0;
  f.store->setRest([&](kj::Duration took) {
    KJ_EXPECT(took > 0 * kj::SECONDS);
    other.put(cidOf(100), block(100));  // would wait for a lock, and fail
    ++rests;
    if (other.list().size() == 0) ++shrinking;
  });
  KJ_EXPECT(f.store->remove(cidOf(1)).blocks == MANY);
  KJ_EXPECT(rests > MANY / 64, rests);
  rests = 0;
  auto collected = f.store->collect(KIB);
  KJ_EXPECT(collected.images == 11 && collected.blocks >= MANY + 10, collected.images);
  KJ_EXPECT(rests > MANY / 64 + 10 && shrinking > 5, rests, shrinking);
  KJ_EXPECT(f.store->verify([](uint64_t, uint64_t) {}).bytes == f.store->getBytes());
}

KJ_TEST("a block that an image takes while blocks of none are collected stays") {
  Fixture f(64 << 20);
  for (kj::uint i = 0; i < MANY; i++) f.store->put(cidOf(1, KIB + i), block(1, KIB + i));
  ImageStore other(f.folder.at("images"), 64 << 20, f.clock, f.logger);
  auto image = other.keep(cidOf(1));
  auto last = cidOf(1, KIB + MANY - 1);
  f.store->setRest([&](kj::Duration) {
    if (image->isWhole()) return;
    KJ_EXPECT(image->find(last) != nullptr);
    image->finish();
  });
  KJ_EXPECT(f.store->collect(0).blocks == MANY - 1);
  KJ_EXPECT(other.find(last) != nullptr);
}

KJ_TEST("an image that is being removed is kept by nobody, and can be there again after") {
  Fixture f(64 << 20);
  Loop loop;
  addMany(f, 1);
  ImageStore other(f.folder.at("images"), 64 << 20, f.clock, f.logger);
  kj::Own<ImageStore::Kept> image;
  kj::Promise<void> keeping = kj::NEVER_DONE;
  kj::uint refused = 0;
  f.store->setRest([&](kj::Duration) {
    if (other.findImage(f.get(1)) == nullptr) return;
    if (refused++ == 0) {
      keeping = other.whenFree(loop.timer, [&]() { image = other.keep(cidOf(1)); });
    }
    constexpr auto REMOVES = "another process removes "_kj;
    KJ_EXPECT(has(failure([&]() { other.keep(cidOf(1)); }), REMOVES));
    KJ_EXPECT(has(failure([&]() { other.setPinned(cidOf(1), true); }), REMOVES));
    KJ_EXPECT(has(failure([&]() { other.setName(cidOf(1), "app"); }), REMOVES));
  });
  KJ_EXPECT(f.store->remove(cidOf(1)).blocks == MANY && refused > 1, refused);
  KJ_EXPECT(image.get() == nullptr);
  KJ_EXPECT(loop.end(kj::mv(keeping), [](kj::Duration) {}) == "nothing went wrong");
  KJ_EXPECT(!image->isWhole() && f.get(f.get(1)).blocks == 0);
}

KJ_TEST("a damaged block that cannot be removed at once is not taken for the one that is put") {
  Fixture f;
  f.addImage({1, 2});
  damage(f.folder, cidOf(2));
  auto image = f.store->keep(cidOf(1));
  {
    Writer writer(f);
    KJ_EXPECT(image->find(cidOf(2)) == nullptr);
    image->put(cidOf(2), block(2));
  }
  image->finish();
  ImageStore other(f.folder.at("images"), 64 << 20, f.clock, f.logger);
  KJ_EXPECT(KJ_ASSERT_NONNULL(other.find(cidOf(2))) == block(2));
  KJ_EXPECT(other.verify([](uint64_t, uint64_t) {}).damaged.size() == 0);
}

KJ_TEST("who finds a damaged block after another has removed it removes no other") {
  Fixture f;
  f.addImage({1, 2});
  f.addImage({3, 4});
  damage(f.folder, cidOf(2));
  ImageStore other(f.folder.at("images"), 64 << 20, f.clock, f.logger);
  KJ_EXPECT(f.store->find(cidOf(2)) == nullptr && other.find(cidOf(2)) == nullptr);
  for (kj::byte number: {1, 3, 4}) KJ_EXPECT(other.find(cidOf(number)) != nullptr, number);
  KJ_EXPECT(other.list().size() == 2 && f.get(f.get(3)).whole);
}

KJ_TEST("an image that loses a block while it is kept is whole again once that is back") {
  Fixture f;
  f.addImage({1, 2});
  auto image = f.store->keep(cidOf(1));
  damage(f.folder, cidOf(2));
  KJ_EXPECT(image->isWhole() && image->find(cidOf(2)) == nullptr && !image->isWhole());
  image->put(cidOf(2), block(2));
  image->finish();
  KJ_EXPECT(image->isWhole() && f.get(f.get(1)).whole && f.get(f.get(1)).blocks == 2);
}

}  // namespace
}  // namespace ww
