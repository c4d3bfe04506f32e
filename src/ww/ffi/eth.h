#pragma once
// Keys of Ethereum accounts, what they sign, and the hash that addresses are made with.
//
// Values, on any thread. What a key is leaves this room in no other form than signatures.

#include <array>
#include <kj/array.h>
#include <stdint.h>

namespace ww::ffi {

using EthBytes20 = std::array<kj::byte, 20>;
using EthBytes32 = std::array<kj::byte, 32>;

EthBytes32 keccak256(kj::ArrayPtr<const kj::byte> bytes);

// One of type 2 (EIP-1559) that calls a contract and sends it nothing. Fees: wei a unit of gas.
struct EthCall {
  uint64_t chainId = 0, nonce = 0, maxPriorityFee = 0, maxFee = 0, gas = 0;
  EthBytes20 to{};
  kj::ArrayPtr<const kj::byte> data;
};

struct SignedEthCall {
  kj::Array<const kj::byte> raw;  // as it is sent
  EthBytes32 hash;
};

class EthKey {
 public:
  // Of 32 bytes; throws for what is no key, without showing it.
  explicit EthKey(kj::ArrayPtr<const kj::byte> bytes);
  ~EthKey() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(EthKey);

  const EthBytes20& getAddress() const { return address; }

  // The same call is the same bytes. Throws for one that makes no sense.
  SignedEthCall sign(const EthCall& call) const;

 private:
  EthBytes32 key;
  EthBytes20 address;
};

}  // namespace ww::ffi
