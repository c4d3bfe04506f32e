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
  if (--room.getImage(root).claims == 0) room.images.erase(root);
}

PinRoom::Image& PinRoom::getImage(const Cid& root) { return KJ_ASSERT_NONNULL(images.find(root)); }

kj::Promise<void> PinRoom::Claim::count() { return room.count(); }

const ImageStore::CountedImage& PinRoom::Claim::getCounted() const {
  return room.getImage(root).counted;
}

void PinRoom::Claim::take(size_t more) {
  room.getImage(root).bytes += more;
  requireRoom();
}

void PinRoom::Claim::setPinned() {
  auto& bytes = room.getImage(root).bytes;
  room.unsettled.findOrCreate(root, [&]() {
    return kj::HashMap<Cid, uint64_t>::Entry{root.clone(), 0};
  }) += bytes;
  bytes = 0;
}

kj::Promise<void> PinRoom::count() {
  KJ_IF_MAYBE(shared, next) return shared->addBranch();
  auto done = last.addBranch().catch_([](kj::Exception&&) {});  // that is for who asked for it
  auto& shared = next.emplace(done.then([this]() {
    last = kj::mv(KJ_ASSERT_NONNULL(next));
    next = nullptr;
    return countNow();
  }).fork());
  return shared.addBranch();
}

kj::Promise<void> PinRoom::countNow() {
  for (auto& pin: unsettled) pinned += pin.value;
  unsettled.clear();
  auto roots = KJ_MAP(image, images) { return image.key.clone(); };
  auto asked = KJ_MAP(root, roots) { return root.clone(); };
  auto counted = co_await countPinned(kj::mv(asked));
  pinned = counted.pinned;
  for (size_t i = 0; i < roots.size(); i++) settle(roots[i], counted.images[i]);
}

// Nobody pins without a count that begins after the claim does: what was pinned since this one
// began is among its images, and it has seen that, or counts none of it as pinned.
void PinRoom::settle(const Cid& root, const ImageStore::CountedImage& counted) {
  if (counted.pinned) unsettled.erase(root);
  KJ_IF_MAYBE(image, images.find(root)) {
    image->counted = counted;
    if (unsettled.find(root) != nullptr) return;
    // Of one that comes there may be more by now.
    image->bytes = counted.whole ? counted.more : kj::max(image->bytes, counted.more);
  }
}

uint64_t PinRoom::getTaken() const {
  auto taken = pinned;
  for (auto& pin: unsettled) taken += pin.value;
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
