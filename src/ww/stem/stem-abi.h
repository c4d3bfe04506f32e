#pragma once
// What the Stem contract's ABI makes of calls and events: see contracts/Stem.sol.

#include <kj/array.h>
#include <ww/stem/chain.h>

namespace ww {

// What head() returned: (uint64 seq, bytes cid). Throws for anything else, and for a value longer
// than MAX_HEAD_BYTES.
StemHead decodeHead(kj::ArrayPtr<const kj::byte> data);

// The number of a HeadUpdated event, one word. Throws for one that no head can have.
uint64_t decodeSeq(kj::ArrayPtr<const kj::byte> word);

// The value of a HeadUpdated event's data: (bytes cid). Likewise.
kj::Array<const kj::byte> decodeHeadValue(kj::ArrayPtr<const kj::byte> data);

}  // namespace ww
