#pragma once
// JSON-RPC over one WebSocket, which is opened by the first call, and anew by the first call after
// it was lost. What is pushed waits, a bounded number of them: more tell nothing that the first did
// not, since all of it is only a hint to look. A call that is not answered in time ends the
// connection. How fast it is read, and what never becomes a message, is for the network below to
// bound.

#include <deque>
#include <kj/compat/http.h>
#include <kj/map.h>
#include <kj/timer.h>
#include <ww/stem/json-rpc.h>

namespace ww {

class WebSocketRpc final: public JsonRpc {
 public:
  static constexpr kj::Duration TIMEOUT = 10 * kj::SECONDS;  // of a call, in all
  static constexpr size_t MAX_CALLS = 64;                    // that wait; more are refused
  static constexpr size_t MAX_PUSHED = 256;                  // that wait; the oldest go
  static constexpr size_t MAX_PUSHED_BYTES = 256 << 10;      // likewise, but for the newest

  // `client` takes absolute URLs, and opens WebSockets. References outlive it.
  WebSocketRpc(kj::HttpClient& client, const kj::HttpHeaderTable& table, kj::Timer& timer,
               kj::String url);
  ~WebSocketRpc() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(WebSocketRpc);

  kj::Promise<RpcAnswer> call(kj::StringPtr method, kj::String params) override;
  kj::Promise<kj::Own<Json>> nextPushed() override;
  bool canPush() const override { return true; }
  uint64_t getConnections() const override { return connections; }

 private:
  class Connection;

  // The one that stands, or a new one.
  kj::Promise<kj::Own<Connection>> connect();
  kj::Promise<void> open();
  kj::Promise<RpcAnswer> callOver(kj::StringPtr method, kj::String params);
  void push(kj::Own<Json> message, size_t bytes);

  kj::HttpClient& client;
  const kj::HttpHeaderTable& table;
  kj::Timer& timer;
  const kj::String url;
  uint64_t lastId = 0;
  uint64_t connections = 0;  // up to now
  kj::Maybe<kj::Own<Connection>> connection;
  kj::Maybe<kj::ForkedPromise<void>> opening;
  struct Pushed {
    kj::Own<Json> message;
    size_t bytes;
  };
  std::deque<Pushed> pushed;
  size_t pushedBytes = 0;
  kj::Own<kj::PromiseFulfiller<kj::Own<Json>>> waiting;  // who asks for the next
};

}  // namespace ww
