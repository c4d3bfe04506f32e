#pragma once
// The room that pinned images may take in a store, and those that are about to be pinned: one
// bound for all of them together, however many come at once.
//
// What is pinned is counted with each block once. What is being kept is counted as it comes, by
// the blocks that its image and pinned ones do not have: those that several share which come at
// once count for each, until one of them is pinned. Others may pin and unpin meanwhile, and so
// count() is asked again before something is pinned. Lives on the store's event loop. Tests:
// pin-room-test.c++, node-images-test.c++.

#include <kj/map.h>
#include <ww/node/image-store.h>

namespace ww {

class PinRoom final {
 public:
  // ImageStore::countPinned(), of images that are being kept. One at a time.
  using Count = kj::Function<kj::Promise<ImageStore::PinnedBytes>(kj::Array<Cid> roots)>;

  PinRoom(uint64_t most, Count countPinned): most(most), countPinned(kj::mv(countPinned)) {}
  KJ_DISALLOW_COPY_AND_MOVE(PinRoom);

  // What an image takes that is being kept, whoever keeps it, as long as anybody does. The room
  // outlives it, and it the promises.
  class Claim final: public ImageStore::Gate {
   public:
    Claim(PinRoom& room, const Cid& root);
    ~Claim() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Claim);

    // Of the store, what is pinned, and what is there of this image, by a count that begins from
    // now on: all who come while one runs share the next, and it goes on without them. Before the
    // image comes, and before it is pinned.
    kj::Promise<void> count();
    const ImageStore::CountedImage& getCounted() const;  // of this image, by the last one

    // For so much more of it. Throws where there is no room, as requireRoom() does.
    void take(size_t bytes) override;
    void requireRoom() const;

    void setPinned();  // now

   private:
    PinRoom& room;
    const Cid root;
  };

 private:
  struct Image {
    kj::uint claims = 0;
    uint64_t bytes = 0;
    ImageStore::CountedImage counted;
  };
  Image& getImage(const Cid& root);
  kj::Promise<void> count();
  kj::Promise<void> countNow();
  void settle(const Cid& root, const ImageStore::CountedImage& counted);
  uint64_t getTaken() const;

  const uint64_t most;
  Count countPinned;
  uint64_t pinned = 0;                  // by the last count, and of claims until one began
  kj::HashMap<Cid, uint64_t> unsettled; // of claims since: the one that runs may have seen them
  kj::HashMap<Cid, Image> images;
  kj::ForkedPromise<void> last = kj::Promise<void>(kj::READY_NOW).fork();  // runs, or is done
  kj::Maybe<kj::ForkedPromise<void>> next;
};

}  // namespace ww
