#pragma once
// The images that are built in.

#include <kj/array.h>

namespace ww {

// pid0 with its child, from examples/images/default.
kj::ArrayPtr<const kj::byte> defaultImage();

// A prompt, from examples/images/shell.
kj::ArrayPtr<const kj::byte> shellImage();

}  // namespace ww
