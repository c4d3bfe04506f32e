#include <ww/stem/http-rpc.h>

#include <ww/base/error.h>
#include <ww/base/http-call.h>
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
  auto answer = co_await callHttp(client, kj::HttpMethod::POST, url, headers, body.asBytes(),
                                  MAX_ANSWER_BYTES);
  auto text = kj::heapString(answer.body.asChars());
  if (answer.status != HTTP_OK) {
    kj::throwFatalException(badInput(kj::str("HTTP ", answer.status, ": `", shorten(text), "`")));
  }
  co_return readAnswer(kj::heap<Json>(text), id);
}

}  // namespace ww
