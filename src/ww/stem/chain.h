#pragma once
// Values of an Ethereum chain, as this room uses them.

#include <array>
#include <kj/common.h>
#include <stdint.h>

namespace ww {

struct EthAddress {
  std::array<kj::byte, 20> bytes{};
  bool operator==(const EthAddress&) const = default;
};

struct BlockHash {
  std::array<kj::byte, 32> bytes{};
  bool operator==(const BlockHash&) const = default;
};

struct BlockRef {
  uint64_t number = 0;
  BlockHash hash;
  bool operator==(const BlockRef&) const = default;
};

}  // namespace ww
