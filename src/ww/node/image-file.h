#pragma once
// An image on disk: a folder that holds main.wasm, or a .wasm file.

#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/string.h>

namespace ww {

struct NoImage {
  kj::String problem;  // names the path, and what to do
};

// The bytes of its component, or why there is none. What the bytes are is not looked at.
kj::OneOf<kj::Array<kj::byte>, NoImage> readImage(kj::StringPtr path);

}  // namespace ww
