#pragma once
// The store of images, as it is printed: `json`, else for people. Each ends with a newline.

#include <ww/node/image-store.h>

namespace ww {

kj::String showImages(kj::ArrayPtr<const StoredImage> images, bool json);
kj::String showImage(const StoredImage& image, bool json);
kj::String showCollected(const Collected& collected, uint64_t left, bool json);
kj::String showCheck(const StoreCheck& check, bool json);

}  // namespace ww
