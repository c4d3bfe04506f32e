#pragma once
// A ChainReader that asks a provider by JSON-RPC: the calls of an Ethereum node.

#include <ww/stem/chain-reader.h>
#include <ww/stem/json-rpc.h>

namespace ww {

class RpcChainReader final: public ChainReader {
 public:
  // `name` is what getName() gives.
  RpcChainReader(kj::Own<JsonRpc> rpc, kj::String name, EthAddress contract)
      : rpc(kj::mv(rpc)), name(kj::mv(name)), contract(contract) {}
  KJ_DISALLOW_COPY_AND_MOVE(RpcChainReader);

  kj::StringPtr getName() const override { return name; }
  kj::Promise<uint64_t> chainId() override;
  kj::Promise<kj::OneOf<ChainView, NotOffered>> view(const Finality& finality) override;
  kj::Promise<kj::Maybe<BlockHash>> blockAt(uint64_t number) override;
  kj::Promise<kj::Maybe<StemHead>> headAt(const BlockHash& hash) override;
  kj::Promise<kj::Array<HeadLog>> logs(uint64_t from, uint64_t to) override;
  bool canPush() const override { return rpc->canPush(); }
  kj::Promise<kj::Maybe<HeadLog>> nextHint() override;

 private:
  // Blocks asked for at once, at first.
  static constexpr uint64_t MAX_RANGE = 2048;
  static constexpr kj::uint MAX_LOG_CALLS = 128;  // of one reading of events

  // A block by its number or tag: nothing where there is none.
  kj::Promise<kj::OneOf<kj::Maybe<BlockRef>, RpcRefusal>> findBlock(kj::String which);
  kj::Promise<RpcResult> get(kj::StringPtr method, kj::String params);
  kj::Promise<void> subscribe();

  kj::Own<JsonRpc> rpc;
  const kj::String name;
  const EthAddress contract;
  bool isSubscribed = false;
  uint64_t subscribedOn = 0;  // of JsonRpc::getConnections()
};

}  // namespace ww
