#pragma once
// How blocks and images leave ImageStore: some at a time, each time by a transaction of its own. A
// private header of image-store.c++.

#include <ww/node/image-database.h>

namespace ww {

// Until all blocks together have no more than `bytes`. It rests between two steps for others; on an
// event loop it does not.
class ImageStore::Removal {
 public:
  Removal(ImageStore& store, uint64_t bytes, bool rests)
      : store(store), db(*store.db), bytes(bytes), rests(rests) {}
  KJ_DISALLOW_COPY_AND_MOVE(Removal);

  // The blocks of no image and then whole images, the longest unused first.
  void takeLongestUnused() {
    takeOrphans();
    while (store.writtenBytes() > bytes && takeFirst([this]() { return db.unpinnedIds(); })) {}
  }

  // False if some process keeps it. One that is not removed to its end, since this process was
  // ended, is there in part.
  bool takeImage(uint64_t image) {
    return takeFirst([&]() { return kj::arr(image); });
  }

  // Gives the file's space back to the disk, too.
  Collected finish() {
    auto left = [&]() { return db.file.ask("PRAGMA freelist_count").orDefault(kj::String()); };
    for (auto last = left(), now = kj::str(); last != "0"; last = kj::mv(now)) {
      timed([&]() { db.file.run("PRAGMA incremental_vacuum(64)"); });
      now = left();
      if (now == last) break;
    }
    return collected;
  }

 private:
  static constexpr size_t BLOCKS = 64;  // in a step

  ImageStore& store;
  Database& db;
  const uint64_t bytes;
  const bool rests;
  Collected collected;
  uint64_t total = 0;  // of all blocks, within a step

  template <typename Action>
  void timed(Action&& action) {
    auto& clock = kj::systemPreciseMonotonicClock();
    auto begin = clock.now();
    action();
    if (rests) store.rest(clock.now() - begin);
  }

  template <typename Action>
  void step(Action&& action) {
    timed([&]() {
      SqliteTransaction transaction(db.file);
      total = db.total.askNumber().orDefault(0);
      action();
      transaction.commit();
    });
  }

  // Where no image has it.
  void takeBlock(uint64_t block) {
    if (total <= bytes) return;
    KJ_IF_MAYBE(size, db.orphanSize.askNumber(block)) {
      db.remove(block, *size);
      total -= kj::min(total, *size);
      ++collected.blocks;
      collected.bytes += *size;
    }
  }

  // Looked for without keeping others from writing, and so looked at again.
  void takeOrphans() {
    for (bool isMore = true; isMore && store.writtenBytes() > bytes;) {
      auto blocks = db.orphans();
      isMore = blocks.size() == Database::MAX_ORPHANS;
      for (size_t begin = 0; begin < blocks.size(); begin += BLOCKS) {
        auto some = blocks.slice(begin, kj::min(begin + BLOCKS, blocks.size()));
        step([&]() {
          for (auto block: some) takeBlock(block);
        });
        if (total <= bytes) return;
      }
    }
  }

  // Of those images, which are asked for in a step, that no process keeps.
  template <typename Images>
  bool takeFirst(Images&& images) {
    kj::Maybe<kj::AutoCloseFd> lock;
    uint64_t image = 0;
    step([&]() {
      for (auto each: images()) {
        lock = store.lockImage(image = each, Lock::EXCLUSIVE);
        if (lock != nullptr) return db.setWhole.run(false, image);
      }
    });
    if (lock == nullptr) return false;
    while (takeMembers(image)) {}
    // Under the lock still, and not before its row has gone: who wants to keep it sees either.
    unlinkat(store.folder, holdName(image).cStr(), 0);
    ++collected.images;
    return true;
  }

  // False once it has none, and has gone itself.
  bool takeMembers(uint64_t image) {
    bool isAny = false;
    step([&]() {
      auto blocks = db.members(image);
      isAny = blocks.size() > 0;
      for (auto block: blocks) {
        db.dropMember.run(image, block);
        takeBlock(block);
      }
      if (!isAny) db.dropImage(image);
    });
    return isAny;
  }
};

}  // namespace ww
