#pragma once
// The component of an image on disk: of a folder that holds main.wasm or bin/main.wasm, or a .wasm
// file.

#include <kj/array.h>
#include <kj/io.h>
#include <kj/one-of.h>
#include <kj/string.h>

namespace ww {

struct NoImage {
  kj::String problem;  // names the path, and what to do
};

// Where a folder has the component that is run: the first of these that there is.
constexpr kj::StringPtr MAIN_PLACES[] = {"main.wasm"_kj, "bin/main.wasm"_kj};

// The bytes of its component, or why there is none. What the bytes are is not looked at.
kj::OneOf<kj::Array<kj::byte>, NoImage> readImage(kj::StringPtr path);

// Of a file that is open, and that a person knows by `name`.
kj::OneOf<kj::Array<kj::byte>, NoImage> readComponent(kj::AutoCloseFd file, kj::StringPtr name);

}  // namespace ww
