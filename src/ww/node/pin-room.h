#pragma once
// The room that pinned images may take in a store, and those that are about to be pinned: one
// bound for all of them together, however many come at once.
//
// What is pinned is counted with each block once. What is being kept is counted as it comes, by
// the blocks that its image and pinned ones do not have: those that several share which come at
// once count for each, until one of them is pinned. Others may pin and unpin meanwhile, and so
// count() is asked again before something is pinned. Lives on the store's event loop. Tests:
// node-images-test.c++.

#include <kj/map.h>
#include <ww/node/image-store.h>

namespace ww {

class PinRoom final {
 public:
  explicit PinRoom(uint64_t most): most(most) {}
  KJ_DISALLOW_COPY_AND_MOVE(PinRoom);

  // What an image takes that is being kept, whoever keeps it, as long as anybody does. The room
  // outlives it, and it the promises.
  class Claim final: public ImageStore::Gate {
   public:
    Claim(PinRoom& room, const Cid& root);
    ~Claim() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Claim);

    // Of the store, what is pinned, and what is there of this image: before it comes, and, with
    // `isWhole`, once it has.
    kj::Promise<ImageStore::PinnedBytes> count(ImageStore& store, bool isWhole);

    // For so much more of it. Throws where there is no room, as requireRoom() does.
    void take(size_t bytes) override;
    void requireRoom() const;

    void setPinned();  // now

   private:
    uint64_t& bytes();

    PinRoom& room;
    const Cid root;
  };

 private:
  struct Image {
    kj::uint claims = 0;
    uint64_t bytes = 0;
  };
  uint64_t getTaken() const;

  const uint64_t most;
  uint64_t pinned = 0;     // as it was counted
  uint64_t countedAt = 0;  // pinnedEver, when that began
  uint64_t pinnedEver = 0; // of claims
  kj::HashMap<Cid, Image> images;
};

}  // namespace ww
