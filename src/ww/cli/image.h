#pragma once
// `ww image ...`: what is kept of images here. No node is asked: the store is opened, and a node
// that runs has it open as well.

#include <ww/cli/image-commands.h>

namespace ww {

int image(const ImageOptions& options);

}  // namespace ww
