#pragma once
// JSON-RPC 2.0, as Ethereum's providers speak it: one call, one answer. What comes back is hostile:
// its size and depth are bounded, and an answer that is none is a failure that says what came.

#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <kj/async.h>
#include <kj/one-of.h>

namespace ww {

// The longest answer, or pushed message, that is read, and how many values it may hold: reading
// values is what takes time. A block's header holds one for each of its transactions.
constexpr size_t MAX_ANSWER_BYTES = 1 << 20;
constexpr size_t MAX_ANSWER_VALUES = 16384;

// A JSON value that owns itself. Looking for what is not there yields nothing.
class Json {
 public:
  using Value = capnp::json::Value::Reader;

  // Throws for what is no JSON, holds more than an answer may, or is nested deeper than any.
  explicit Json(kj::StringPtr text);

  Value get() const { return root; }

 private:
  kj::Own<capnp::MallocMessageBuilder> message;
  Value root;
};

kj::Maybe<Json::Value> findField(Json::Value object, kj::StringPtr name);
kj::Maybe<kj::StringPtr> findText(Json::Value object, kj::StringPtr name);
kj::Maybe<kj::StringPtr> asText(Json::Value value);

// The provider understood, and refused.
struct RpcRefusal {
  int64_t code = 0;
  kj::String message;  // shortened
  kj::Maybe<kj::String> data = nullptr;  // of a call that reverted: what it gave, in hex

  kj::String toText() const { return kj::str(message, " (", code, ")"); }
};

// An answer's result, which lives in `whole`.
struct RpcResult {
  kj::Own<Json> whole;
  Json::Value value;
};
using RpcAnswer = kj::OneOf<RpcResult, RpcRefusal>;

// A call as it is sent. `params` is a JSON array.
kj::String renderCall(uint64_t id, kj::StringPtr method, kj::StringPtr params);

// Of a message that is an answer to call `id`. Throws for anything else.
RpcAnswer readAnswer(kj::Own<Json> message, uint64_t id);

// Where calls go: one provider. Lives on one event loop.
class JsonRpc {
 public:
  virtual ~JsonRpc() noexcept(false) {}

  // Rejects when there is no answer: no connection, not in time, too long, or what came is none.
  // Dropping the promise gives the call up. Any number at a time.
  virtual kj::Promise<RpcAnswer> call(kj::StringPtr method, kj::String params) = 0;

  // Resolves when the provider has pushed something: the whole message, of eth_subscribe or none.
  // Where a provider does not push, never. One at a time; what came before the call waits, as
  // many as are kept. Rejects when the connection is lost: what was pushed then is lost too.
  virtual kj::Promise<kj::Own<Json>> nextPushed() = 0;
  virtual bool canPush() const = 0;

  // How often it has connected. What was subscribed to on one connection is on that one alone.
  virtual uint64_t getConnections() const { return 0; }
};

}  // namespace ww
