#pragma once
// Base58 as Bitcoin and libp2p write it. The guest SDK has its own: no guest includes src/ww.

#include <kj/array.h>
#include <kj/string.h>

namespace ww {

kj::String encodeBase58(kj::ArrayPtr<const kj::byte> bytes);

// Nothing for what is no Base58, or longer than anything that is written so: the work grows with
// the square of the length.
kj::Maybe<kj::Array<kj::byte>> decodeBase58(kj::StringPtr text);

}  // namespace ww
