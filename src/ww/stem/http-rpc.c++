#include <ww/stem/http-rpc.h>

#include <ww/base/error.h>
#include <ww/base/text.h>

namespace ww {
namespace {

constexpr kj::uint HTTP_OK = 200;

}  // namespace

kj::Promise<RpcAnswer> HttpRpc::call(kj::StringPtr method, kj::String params) {
  auto id = ++lastId;
  auto answer = post(renderCall(id, method, params), id);
  return answer.exclusiveJoin(timer.afterDelay(TIMEOUT).then([]() -> RpcAnswer {
    kj::throwFatalException(badInput(kj::str("no answer within ", TIMEOUT)));
  }));
}

kj::Promise<RpcAnswer> HttpRpc::post(kj::String body, uint64_t id) {
  kj::HttpHeaders headers(table);
  headers.set(kj::HttpHeaderId::CONTENT_TYPE, "application/json");
  auto request = client.request(kj::HttpMethod::POST, url, headers, body.size());
  // A provider may answer before it has read all of this, and close.
  auto sending = request.body->write(body.begin(), body.size())
      .attach(kj::mv(request.body)).catch_([](kj::Exception&&) {}).eagerlyEvaluate(nullptr);
  auto response = co_await request.response;
  KJ_IF_MAYBE(length, response.body->tryGetLength()) {
    if (*length > MAX_ANSWER_BYTES) {
      kj::throwFatalException(badInput(kj::str("an answer of ", *length, " bytes; the limit is ",
                                               MAX_ANSWER_BYTES)));
    }
  }
  auto status = response.statusCode;
  auto text = co_await response.body->readAllText(MAX_ANSWER_BYTES).catch_(
      [](kj::Exception&& e) -> kj::String {
    if (e.getType() == kj::Exception::Type::DISCONNECTED) kj::throwFatalException(kj::mv(e));
    kj::throwFatalException(badInput(kj::str("an answer of more than ", MAX_ANSWER_BYTES,
                                             " bytes, which is the limit")));
  });
  if (status != HTTP_OK) {
    kj::throwFatalException(badInput(kj::str("HTTP ", status, ": `", shorten(text), "`")));
  }
  co_return readAnswer(kj::heap<Json>(text), id);
}

}  // namespace ww
