#pragma once
// One value of the node's head; see capnp/stem.capnp.

#include <kj/array.h>
#include <stdint.h>

namespace ww {

struct Epoch {
  uint64_t seq = 0;              // counts the head's values; never goes back
  kj::Array<const kj::byte> head;  // the value, binary; empty without a chain
  uint64_t adoptedBlock = 0;     // at which it was final; 0 without a chain

  Epoch clone() const { return {seq, kj::heapArray<const kj::byte>(head), adoptedBlock}; }
};

}  // namespace ww
