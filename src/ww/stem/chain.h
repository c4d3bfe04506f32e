#pragma once
// Values of an Ethereum chain, as this room uses them.

#include <array>
#include <kj/array.h>
#include <kj/string.h>
#include <stdint.h>

namespace ww {

struct EthAddress {
  std::array<kj::byte, 20> bytes{};
  bool operator==(const EthAddress&) const = default;
  kj::ArrayPtr<const kj::byte> asBytes() const { return {bytes.data(), bytes.size()}; }
};

struct BlockHash {
  std::array<kj::byte, 32> bytes{};
  bool operator==(const BlockHash&) const = default;
  kj::ArrayPtr<const kj::byte> asBytes() const { return {bytes.data(), bytes.size()}; }
};

struct BlockRef {
  uint64_t number = 0;
  BlockHash hash;
  bool operator==(const BlockRef&) const = default;
};

// What the contract's head() says.
struct StemHead {
  uint64_t seq = 0;
  kj::Array<const kj::byte> value;  // at most MAX_HEAD_BYTES

  StemHead clone() const { return {seq, kj::heapArray<const kj::byte>(value)}; }
  bool operator==(const StemHead& other) const {
    return seq == other.seq && value.asPtr() == other.value.asPtr();
  }
};

// The longest value of a head that is followed: a CID is some 36 bytes.
constexpr size_t MAX_HEAD_BYTES = 1024;

// The largest sequence number that is followed: as many bits as can be kept.
constexpr uint64_t MAX_SEQ = INT64_MAX;

// A HeadUpdated event of the contract, as a provider tells of it.
struct HeadLog {
  StemHead head;
  BlockRef block;
  uint64_t index = 0;    // of the log in its block
  bool removed = false;  // its block is in the chain no longer

  bool isSameAs(const HeadLog& other) const {
    return block == other.block && index == other.index;
  }
  bool isAfter(const HeadLog& other) const {
    return block.number != other.block.number ? block.number > other.block.number
                                              : index > other.index;
  }
};

// From which block on a head counts.
struct Finality {
  enum Kind { FINALIZED, SAFE, DEPTH };
  Kind kind = FINALIZED;
  uint64_t depth = 0;  // blocks above it, for DEPTH
};

// "finalized", "safe" or "depth:K" with K from 0; nothing for anything else.
kj::Maybe<Finality> parseFinality(kj::StringPtr text);
kj::String toText(const Finality& finality);

}  // namespace ww
