#pragma once
// Whoever keeps images for a node that is told to: its store, and those it fetches from.

#include <ww/net/peer-id.h>
#include <ww/node/image-store.h>

namespace ww {

class ImageKeeper {
 public:
  virtual ~ImageKeeper() noexcept(false) {}

  // Fetches it, `from` this peer first if it is connected, and pins it: what is on the disk then.
  // Rejects with each source's reason. Dropping the promise gives it up; what came of it stays
  // until room is needed.
  virtual kj::Promise<StoredImage> keepImage(Cid root, kj::Maybe<PeerId> from) = 0;
};

}  // namespace ww
