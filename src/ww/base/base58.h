#pragma once
// Base58 as Bitcoin and libp2p write it. The guest SDK has its own: no guest includes src/ww.

#include <kj/array.h>
#include <kj/string.h>

namespace ww {

kj::String encodeBase58(kj::ArrayPtr<const kj::byte> bytes);

}  // namespace ww
