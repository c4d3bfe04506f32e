#pragma once
// Sets the head of a Stem contract: one transaction, sent through one provider, and waited for
// until it is in a block. Whether that block stays is for those who follow the contract.
//
// The provider is not believed where that would cost: what it says of fees is bounded, it has to be
// of the chain that was named, and the transaction's hash is our own. It can keep the transaction
// back, or lie about its fate: that is seen by who follows the contract through others.
//
// Lives on one event loop. Dropping a promise gives up waiting; what was sent stays sent.

#include <kj/timer.h>
#include <ww/base/log.h>
#include <ww/stem/json-rpc.h>
#include <ww/stem/transaction.h>

namespace ww {

constexpr uint64_t WEI_A_GWEI = 1'000'000'000;

struct HeadWriterOptions {
  EthAddress contract;
  kj::Maybe<uint64_t> chainId;               // the only one that is written to; none: any
  uint64_t maxFee = 500 * WEI_A_GWEI;        // wei a unit of gas: more is not offered
  kj::Duration interval = 1 * kj::SECONDS;   // between looks for the block
  kj::Duration patience = 5 * kj::MINUTES;   // for the block
};

struct WrittenHead {
  uint64_t chainId = 0;
  uint64_t seq = 0;              // the head's number
  struct Inclusion {
    BlockHash transaction;
    uint64_t block;
  };
  kj::Maybe<Inclusion> included; // none: the head had this value already, and nothing was sent
};

class HeadWriter final {
 public:
  // Of a value of MAX_HEAD_BYTES, setHead takes a third of this.
  static constexpr uint64_t MAX_GAS = 3'000'000;

  // References outlive it. `provider`: its name, for a person.
  HeadWriter(HeadWriterOptions options, JsonRpc& rpc, kj::String provider, kj::Timer& timer,
             Logger& logger)
      : options(options), rpc(rpc), provider(kj::mv(provider)), timer(timer), logger(logger) {}
  KJ_DISALLOW_COPY_AND_MOVE(HeadWriter);

  // Rejects with what a person can act upon: who may set the head, what the contract or the
  // provider said, or that no block has it yet; from when it is sent on with the transaction's
  // hash, unless it was refused. `signer` outlives the promise.
  kj::Promise<WrittenHead> setHead(const TransactionSigner& signer,
                                   kj::Array<const kj::byte> value);

 private:
  struct Fees { uint64_t priority, max; };

  kj::Promise<RpcResult> ask(kj::StringPtr method, kj::String params);
  kj::Promise<uint64_t> number(kj::StringPtr method, kj::String params);
  kj::Promise<uint64_t> findChain();
  kj::Promise<StemHead> readHead(uint64_t chainId);
  kj::Promise<Fees> chooseFees();
  kj::Promise<uint64_t> estimateGas(const EthAddress& from, kj::StringPtr data);
  kj::Promise<Transaction> prepare(const EthAddress& from, kj::Array<const kj::byte> data,
                                   uint64_t chainId);
  kj::Promise<void> send(const SignedTransaction& transaction);
  kj::Promise<WrittenHead> untilIncluded(BlockHash hash, uint64_t chainId);
  kj::Promise<kj::Maybe<WrittenHead>> findIncluded(const BlockHash& hash, uint64_t chainId);
  [[noreturn]] void fail(kj::StringPtr why) const;
  [[noreturn]] void refuse(kj::StringPtr method, const RpcRefusal& refusal,
                           kj::Maybe<const EthAddress&> from = nullptr) const;

  const HeadWriterOptions options;
  JsonRpc& rpc;
  const kj::String provider;
  kj::Timer& timer;
  Logger& logger;
};

// setHead(bytes) with this value, as the contract's ABI has it.
kj::Array<const kj::byte> encodeSetHead(kj::ArrayPtr<const kj::byte> value);

// What a contract gave as it reverted, for a person: one of its own errors, a text, a panic's
// number, or the bytes. Nothing where it gave nothing.
kj::Maybe<kj::String> describeRevert(kj::ArrayPtr<const kj::byte> data);

}  // namespace ww
