#pragma once
// The key of an Ethereum account, in a file that its user alone may read: 32 bytes in hexadecimal,
// with or without 0x, and a newline or none.

#include <ww/ffi/eth.h>
#include <ww/stem/transaction.h>

namespace ww {

class FileSigner final: public TransactionSigner {
 public:
  // Throws, naming the file and what to do; never shows what is in it.
  explicit FileSigner(kj::StringPtr path);
  KJ_DISALLOW_COPY_AND_MOVE(FileSigner);

  EthAddress getAddress() const override { return {key->getAddress()}; }
  SignedTransaction sign(const Transaction& transaction) const override;

 private:
  kj::Own<const ffi::EthKey> key;
};

}  // namespace ww
