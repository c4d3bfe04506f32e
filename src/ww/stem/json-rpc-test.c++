// What comes from providers as JSON: what is read of it, and what is refused before it is.
#include <kj/test.h>
#include <ww/stem/json-rpc.h>

namespace ww {
namespace {

kj::String problem(kj::StringPtr text) {
  kj::String why;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { readAnswer(kj::heap<Json>(text), 7); })) {
    why = kj::str(e->getDescription());
  }
  return why;
}

KJ_TEST("an answer: its result, or a refusal") {
  auto result = readAnswer(kj::heap<Json>("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"0x1\"}"), 7);
  KJ_EXPECT(KJ_ASSERT_NONNULL(asText(result.get<RpcResult>().value)) == "0x1");
  auto none = readAnswer(kj::heap<Json>("{\"id\":7,\"result\":null,\"error\":null}"), 7);
  KJ_EXPECT(none.get<RpcResult>().value.isNull());
  auto refused = readAnswer(kj::heap<Json>(
      "{\"id\":7,\"error\":{\"code\":-32005,\"message\":\"too large\"}}"), 7);
  KJ_EXPECT(refused.get<RpcRefusal>().toText() == "too large (-32005)");
  auto odd = readAnswer(kj::heap<Json>("{\"error\":{\"code\":1e300}}"), 7);
  KJ_EXPECT(odd.get<RpcRefusal>().toText() == "no message (0)");
}

KJ_TEST("what is none is refused, and says what came") {
  for (auto text: {"", "null", "[]", "7", "{}", "{\"id\":8,\"result\":1}",
                   "{\"id\":\"7\",\"result\":1}", "{\"id\":7}", "{\"id\":7,\"result\":1", "<html>",
                   "{\"id\":7,\"result\":1}}"}) {
    KJ_EXPECT(problem(text) != "", text);
  }
  auto html = problem("<html><body>");
  KJ_EXPECT(html.startsWith("what came is no JSON that is expected here: `<html>"), html);
}

KJ_TEST("as many values as an answer may hold, and no more; as deep as one may be") {
  auto many = [](size_t values) {
    kj::Vector<kj::StringPtr> texts;
    for (size_t i = 0; i < values; i++) texts.add(",0"_kj);
    return kj::str("{\"id\":7,\"result\":[0", kj::strArray(texts, ""), "]}");
  };
  KJ_EXPECT(problem(many(MAX_ANSWER_VALUES - 3)) == "");
  auto why = problem(many(MAX_ANSWER_VALUES));
  KJ_EXPECT(why.startsWith("what came holds some 16387 values; the limit is 16384"), why);
  KJ_EXPECT(problem(kj::str(kj::repeat('[', 10'000), kj::repeat(']', 10'000))) != "");
}

}  // namespace
}  // namespace ww
