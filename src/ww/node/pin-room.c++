#include <ww/node/pin-room.h>

#include <kj/debug.h>
#include <ww/base/error.h>

namespace ww {

PinRoom::Claim::Claim(PinRoom& room, const Cid& root): room(room), root(root.clone()) {
  auto& image = room.images.findOrCreate(root, [&]() {
    return kj::HashMap<Cid, Image>::Entry{root.clone(), Image()};
  });
  ++image.claims;
}

PinRoom::Claim::~Claim() noexcept(false) {
  if (--KJ_ASSERT_NONNULL(room.images.find(root)).claims == 0) room.images.erase(root);
}

uint64_t& PinRoom::Claim::bytes() { return KJ_ASSERT_NONNULL(room.images.find(root)).bytes; }

kj::Promise<ImageStore::PinnedBytes> PinRoom::Claim::count(ImageStore& store, bool isWhole) {
  auto begin = room.pinnedEver;
  auto counted = co_await store.countPinned(root);
  if (begin >= room.countedAt) {
    room.pinned = counted.pinned;
    room.countedAt = begin;
  }
  // Of one that comes there may be more by now.
  bytes() = isWhole ? counted.more : kj::max(bytes(), counted.more);
  co_return counted;
}

void PinRoom::Claim::take(size_t more) {
  bytes() += more;
  requireRoom();
}

void PinRoom::Claim::setPinned() {
  room.pinnedEver += bytes();
  bytes() = 0;
}

uint64_t PinRoom::getTaken() const {
  auto taken = pinned + (pinnedEver - countedAt);
  for (auto& image: images) taken += image.value.bytes;
  return taken;
}

void PinRoom::Claim::requireRoom() const {
  auto taken = room.getTaken();
  if (taken <= room.most) return;
  kj::throwFatalException(badInput(kj::str("with this one the images that are pinned there, or are "
      "being kept, have ", taken, " bytes, and peers may pin up to ", room.most, ", half of the "
      "node's store; its operator makes room with `ww image unpin`, or by a larger "
      "--store-size")));
}

}  // namespace ww
