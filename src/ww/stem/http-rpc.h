#pragma once
// JSON-RPC by one POST a call. Nothing is pushed.

#include <kj/compat/http.h>
#include <kj/timer.h>
#include <ww/stem/json-rpc.h>

namespace ww {

class HttpRpc final: public JsonRpc {
 public:
  static constexpr kj::Duration TIMEOUT = 10 * kj::SECONDS;  // of a call, in all

  // `client` takes absolute URLs. References outlive it.
  HttpRpc(kj::HttpClient& client, const kj::HttpHeaderTable& table, kj::Timer& timer,
          kj::String url)
      : client(client), table(table), timer(timer), url(kj::mv(url)) {}
  KJ_DISALLOW_COPY_AND_MOVE(HttpRpc);

  kj::Promise<RpcAnswer> call(kj::StringPtr method, kj::String params) override;
  kj::Promise<kj::Own<Json>> nextPushed() override { return kj::NEVER_DONE; }
  bool canPush() const override { return false; }

 private:
  kj::Promise<RpcAnswer> post(kj::String body, uint64_t id);

  kj::HttpClient& client;
  const kj::HttpHeaderTable& table;
  kj::Timer& timer;
  const kj::String url;
  uint64_t lastId = 0;
};

}  // namespace ww
