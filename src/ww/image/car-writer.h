#pragma once
// A DAG of UnixFS as a CAR file of version 1: the root first, each block before what it links to,
// in the order of its links, and each once. So a tree has one CAR file, to the byte, whoever writes
// it.

#include <kj/async-io.h>
#include <ww/image/tree.h>

namespace ww {

struct CarWritten {
  uint64_t blocks = 0;
  uint64_t bytes = 0;  // of the file
};

// Fetches what the store does not have. Identity blocks are not written: content ids hold them.
// Memory is bounded by `limits`' heldBytes, for the links that wait and once more for which blocks
// were written: more than heldBytes / CAR_WRITTEN_BYTES of those are refused (2,097,152 by default;
// an image may have half as many files and directories). All outlive the promise.
constexpr size_t CAR_WRITTEN_BYTES = 64;  // of each, with its share of a hash table
kj::Promise<CarWritten> writeCar(BlockFetcher& blocks, const Cid& root, const TreeLimits& limits,
                                 kj::AsyncOutputStream& out);

}  // namespace ww
