#pragma once
// What ImageStore has to write, until it is. A private header of image-store.c++.

#include <kj/map.h>
#include <ww/node/image-database.h>

namespace ww {

constexpr uint64_t USE_SECONDS = 600;  // as exactly is it known when a block was used

// Blocks of images, from when they are put or found until they are written as those images'. What
// was found comes along with its bytes, so that it is there whoever removes it meanwhile.
class ImageStore::Batch {
 public:
  static constexpr bool NEW = true, FOUND = false;

  bool isEmpty() const { return members.empty() && used.empty(); }
  bool hasRoom(size_t more, kj::Date now) const {
    return isEmpty() || (bytes + more <= BATCH_BYTES && now - since < BATCH_TIME &&
                         members.size() + used.size() < BATCH_BLOCKS);
  }
  // While another process keeps it from being written.
  bool isTooMuch(size_t more) const {
    return bytes + more > MOST * BATCH_BYTES ||
           members.size() + used.size() >= MOST * BATCH_BLOCKS;
  }
  bool has(uint64_t image) const {
    for (auto& member: members) {
      if (member.image == image) return true;
    }
    return false;
  }
  bool has(uint64_t image, const Cid& cid) const {
    for (auto& member: members) {
      if (member.image == image && member.cid == cid) return true;
    }
    return false;
  }
  uint64_t getNewBytes() const { return newBytes; }

  kj::Maybe<kj::ArrayPtr<const kj::byte>> find(const Cid& cid) {
    return blocks.find(cid).map([](Block& block) { return block.bytes.asPtr(); });
  }
  void add(uint64_t image, const Cid& cid, kj::ArrayPtr<const kj::byte> block, bool isNew,
           kj::Date now) {
    if (isEmpty()) since = now;
    members.add(Member{image, cid.clone()});
    if (blocks.find(cid) != nullptr) return;
    blocks.insert(cid.clone(), Block{kj::heapArray<const kj::byte>(block), isNew});
    bytes += block.size();
    if (isNew) newBytes += block.size();
  }
  // What is there of it cannot be removed now: it is when the block is written again.
  void addDamaged(const Cid& cid) { damaged.upsert(cid.clone(), [](Cid&, Cid&&) {}); }
  bool isDamaged(const Cid& cid) const { return damaged.find(cid) != nullptr; }

  void addUsed(uint64_t block, kj::Date now) {
    if (isEmpty()) since = now;
    used.add(block);
  }

  // Within a transaction.
  void write(Database& db, uint64_t now) {
    kj::HashMap<Cid, uint64_t> ids;
    for (auto& entry: blocks) ids.insert(entry.key.clone(), write(db, entry.key, entry.value, now));
    for (auto& member: members) {
      db.addMember.run(member.image, KJ_ASSERT_NONNULL(ids.find(member.cid)));
    }
    for (auto id: used) db.setUsed.run(now, id);
  }
  void clear() {
    for (auto& entry: blocks) damaged.eraseMatch(entry.key);
    blocks.clear();
    members.clear();
    used.clear();
    bytes = newBytes = 0;
  }

  // What only that image has of them goes.
  void drop(uint64_t image) {
    auto all = kj::mv(members);
    auto before = kj::mv(blocks);
    clear();
    for (auto& member: all) {
      if (member.image == image) continue;
      auto& block = KJ_ASSERT_NONNULL(before.find(member.cid));
      add(member.image, member.cid, block.bytes, block.isNew, since);
    }
  }

 private:
  static constexpr size_t MOST = 4;

  struct Block {
    kj::Array<const kj::byte> bytes;
    bool isNew;
  };
  struct Member {
    uint64_t image;
    Cid cid;
  };

  uint64_t write(Database& db, const Cid& cid, const Block& block, uint64_t now) {
    if (isDamaged(cid)) db.removeIfDamaged(cid);
    KJ_IF_MAYBE(row, db.findBlock(cid)) {
      if (row->used + USE_SECONDS < now) db.setUsed.run(now, row->id);
      return row->id;
    }
    return db.add(cid, block.bytes, now);
  }

  kj::HashMap<Cid, Block> blocks;
  kj::Vector<Member> members;
  kj::Vector<uint64_t> used;  // rows of blocks that are there
  kj::HashSet<Cid> damaged;
  uint64_t bytes = 0, newBytes = 0;
  kj::Date since = kj::UNIX_EPOCH;  // of the first
};

}  // namespace ww
