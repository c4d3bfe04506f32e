#pragma once
// Whoever keeps images for a node that is told to: its store, and those it fetches from.

#include <ww/net/peer-id.h>
#include <ww/node/image-store.h>

namespace ww {

class ImageKeeper {
 public:
  virtual ~ImageKeeper() noexcept(false) {}

  struct Asker {
    kj::Maybe<PeerId> peer;      // that is asked first, if it is connected
    kj::Function<void()> check;  // throws once it may not have this done: asked as it is pinned
    kj::Function<void()> onStep; // it gets on
  };

  struct Kept {
    uint64_t blocks = 0, bytes = 0;  // of the image
  };

  // Fetches it, and pins it: what is on the disk then. Rejects with each source's reason; where it
  // is no image that could be run, or there is no room for another that is pinned; and with
  // `overloaded: images` where it is asked to keep too many at once. Dropping the promise gives it
  // up; what came of it stays until room is needed.
  virtual kj::Promise<Kept> keepImage(Cid root, Asker asker) = 0;
};

}  // namespace ww
