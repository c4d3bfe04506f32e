#pragma once
// A provider whose URL holds a secret, and who may say it: what it says goes to logs, and a page
// that was not found likes to name the path. What may be secret is left out of every text.

#include <ww/stem/json-rpc.h>

namespace ww {

class DiscreetRpc final: public JsonRpc {
 public:
  // `secrets`: the longer ones first, where one is a part of another.
  DiscreetRpc(kj::Own<JsonRpc> inner, kj::Array<kj::String> secrets)
      : inner(kj::mv(inner)), secrets(kj::mv(secrets)) {}
  KJ_DISALLOW_COPY_AND_MOVE(DiscreetRpc);

  kj::Promise<RpcAnswer> call(kj::StringPtr method, kj::String params) override;
  kj::Promise<kj::Own<Json>> nextPushed() override { return inner->nextPushed(); }
  bool canPush() const override { return inner->canPush(); }
  uint64_t getConnections() const override { return inner->getConnections(); }

 private:
  kj::String without(kj::StringPtr text) const;

  kj::Own<JsonRpc> inner;
  const kj::Array<kj::String> secrets;
};

}  // namespace ww
