#pragma once
// JSON-RPC over one WebSocket, which is opened by the first call, and anew by the first call after
// it was lost. What is pushed waits, a bounded number of them: more tell nothing that the first did
// not, since all of it is only a hint to look. No more than BYTES_PER_SECOND is read, in the long
// run: reading is work.

#include <deque>
#include <kj/compat/http.h>
#include <kj/map.h>
#include <kj/timer.h>
#include <ww/stem/json-rpc.h>

namespace ww {

class WebSocketRpc final: public JsonRpc {
 public:
  static constexpr kj::Duration TIMEOUT = 10 * kj::SECONDS;  // of a call, in all
  static constexpr size_t MAX_PUSHED = 256;                  // that wait; the oldest go
  static constexpr uint64_t BYTES_PER_SECOND = 2 << 20;

  // `client` takes absolute URLs, and opens WebSockets. References outlive it.
  WebSocketRpc(kj::HttpClient& client, const kj::HttpHeaderTable& table, kj::Timer& timer,
               kj::String url);
  ~WebSocketRpc() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(WebSocketRpc);

  kj::Promise<RpcAnswer> call(kj::StringPtr method, kj::String params) override;
  kj::Promise<kj::Own<Json>> nextPushed() override;
  bool canPush() const override { return true; }

 private:
  class Connection;

  // The one that stands, or a new one.
  kj::Promise<kj::Own<Connection>> connect();
  kj::Promise<void> open();
  kj::Promise<RpcAnswer> callOver(kj::StringPtr method, kj::String params);
  void push(kj::Own<Json> message);

  kj::HttpClient& client;
  const kj::HttpHeaderTable& table;
  kj::Timer& timer;
  const kj::String url;
  uint64_t lastId = 0;
  kj::Maybe<kj::Own<Connection>> connection;
  kj::Maybe<kj::ForkedPromise<void>> opening;
  std::deque<kj::Own<Json>> pushed;
  kj::Own<kj::PromiseFulfiller<kj::Own<Json>>> waiting;  // who asks for the next
};

}  // namespace ww
