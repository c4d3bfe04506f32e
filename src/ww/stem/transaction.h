#pragma once
// A transaction that calls a contract (type 2, EIP-1559), and who signs it. This room knows no
// keys: the signer is passed in.

#include <ww/stem/chain.h>

namespace ww {

struct Transaction {
  uint64_t chainId = 0;
  uint64_t nonce = 0;
  uint64_t maxPriorityFee = 0, maxFee = 0;  // wei a unit of gas
  uint64_t gas = 0;                         // at most
  EthAddress to;
  kj::Array<const kj::byte> data;
};

struct SignedTransaction {
  kj::Array<const kj::byte> raw;  // as it is sent
  BlockHash hash;                 // its own
};

class TransactionSigner {
 public:
  virtual ~TransactionSigner() noexcept(false) {}

  virtual EthAddress getAddress() const = 0;

  // Throws for one that makes no sense.
  virtual SignedTransaction sign(const Transaction& transaction) const = 0;
};

}  // namespace ww
