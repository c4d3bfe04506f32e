#pragma once
// The image that is built in: pid0 with its child, from examples/images/default.

#include <kj/array.h>

namespace ww {

kj::ArrayPtr<const kj::byte> defaultImage();

}  // namespace ww
