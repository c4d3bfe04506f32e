#include <ww/stem/json-rpc.h>

#include <ww/base/error.h>
#include <ww/base/text.h>

namespace ww {
namespace {

constexpr size_t MAX_NESTING = 16;

// Of what a reverting call gives: a reason of some hundred characters, in hex.
constexpr size_t MAX_REFUSAL_DATA = 4096;

// Each but the first stands behind one of these.
void requireFewValues(kj::StringPtr text) {
  size_t count = 0;
  for (auto c: text) count += c == ',' || c == '[' || c == '{';
  if (count > MAX_ANSWER_VALUES) {
    kj::throwFatalException(badInput(kj::str("what came holds some ", count,
        " values; the limit is ", MAX_ANSWER_VALUES)));
  }
}

Json::Value decode(kj::StringPtr text, capnp::MallocMessageBuilder& message) {
  requireFewValues(text);
  capnp::JsonCodec codec;
  codec.setMaxNestingDepth(MAX_NESTING);
  auto root = message.initRoot<capnp::json::Value>();
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() { codec.decodeRaw(text, root); })) {
    kj::throwFatalException(badInput(kj::str("what came is no JSON that is expected here: `",
                                             shorten(text), "`")));
  }
  return root.asReader();
}

}  // namespace

Json::Json(kj::StringPtr text)
    : message(kj::heap<capnp::MallocMessageBuilder>()), root(decode(text, *message)) {}

kj::Maybe<Json::Value> findField(Json::Value object, kj::StringPtr name) {
  if (!object.isObject()) return nullptr;
  for (auto field: object.getObject()) {
    if (field.getName() == name) return Json::Value(field.getValue());
  }
  return nullptr;
}

kj::Maybe<kj::StringPtr> asText(Json::Value value) {
  if (!value.isString()) return nullptr;
  return kj::StringPtr(value.getString());
}

kj::Maybe<kj::StringPtr> findText(Json::Value object, kj::StringPtr name) {
  KJ_IF_MAYBE(value, findField(object, name)) return asText(*value);
  return nullptr;
}

kj::String renderCall(uint64_t id, kj::StringPtr method, kj::StringPtr params) {
  return kj::str("{\"jsonrpc\":\"2.0\",\"id\":", id, ",\"method\":\"", method, "\",\"params\":",
                 params, "}");
}

RpcAnswer readAnswer(kj::Own<Json> message, uint64_t id) {
  auto whole = message->get();
  auto refuse = [](kj::StringPtr why) {
    kj::throwFatalException(badInput(kj::str("what came is no answer of JSON-RPC: ", why)));
  };
  KJ_IF_MAYBE(error, findField(whole, "error")) {
    if (!error->isNull()) {
      RpcRefusal refusal{0, kj::str(shorten(findText(*error, "message").orDefault("no message")))};
      KJ_IF_MAYBE(code, findField(*error, "code")) {
        if (code->isNumber() && code->getNumber() > -1e15 && code->getNumber() < 1e15) {
          refusal.code = int64_t(code->getNumber());
        }
      }
      KJ_IF_MAYBE(data, findText(*error, "data")) {
        if (data->size() <= MAX_REFUSAL_DATA) refusal.data = kj::str(*data);
      }
      return refusal;
    }
  }
  KJ_IF_MAYBE(own, findField(whole, "id")) {
    if (!own->isNumber() || own->getNumber() != double(id)) refuse("its id is another");
  } else {
    refuse("it has no id");
  }
  KJ_IF_MAYBE(result, findField(whole, "result")) {
    auto value = *result;
    return RpcResult{kj::mv(message), value};
  }
  refuse("it has neither result nor error");
  KJ_UNREACHABLE;
}

}  // namespace ww
