#pragma once
// A CAR file, as a stream: a header with roots, then blocks under their content ids. Version 1, and
// version 2, which is one of version 1 with an index behind it; the index is not read, nor
// believed.
//
// Each block is checked against its content id as it comes, and put into a store; a block at a time
// is in memory, however large the file is. A block twice is one; an identity block is none, since
// its content id holds it. What is cut short is refused, and what came before it stays in the
// store: it is right, and has to be fetched no more.

#include <kj/async-io.h>
#include <ww/image/block.h>

namespace ww {

struct CarLimits {
  uint64_t bytes = uint64_t(17) << 30;  // that are read, padding included
  uint64_t blocks = 4 << 20;
};

struct CarSummary {
  kj::Array<Cid> roots;  // as many as the file has, which may be none
  uint64_t blocks = 0;
  uint64_t bytes = 0;    // of the blocks
};

// `name` is the file's, for the words of a refusal, which says at which byte it is. Both outlive
// the promise.
kj::Promise<CarSummary> readCar(kj::AsyncInputStream& in, kj::StringPtr name,
                                const CarLimits& limits, BlockStore& store);

}  // namespace ww
