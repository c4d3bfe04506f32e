#include <ww/cli/table.h>

#include <kj/test.h>

namespace ww {
namespace {

KJ_TEST("columns as wide as their widest cell; what a guest chose commands no terminal") {
  Table table{"A", "LONG"};
  table.row(kj::arr(kj::str("first"), kj::str("x")));
  table.row(kj::arr(kj::str("\x1b[2J\n"), kj::str()));
  KJ_EXPECT(table.toText() == "A          LONG\n"
                              "first      x\n"
                              "\\x1b[2J\\n\n", table.toText());
}

KJ_TEST("JSON: texts are quoted, numbers and truths are not") {
  auto texts = kj::arr(kj::str("a\"b"), kj::str("\n"));
  JsonObject json;
  json.add("text", "a\"b"_kj).add("number", uint64_t(1) << 63).add("truth", true)
      .add("texts", texts.asPtr());
  KJ_EXPECT(json.toText() == "{\"text\":\"a\\\"b\",\"number\":9223372036854775808,"
                             "\"truth\":true,\"texts\":[\"a\\\"b\",\"\\u000a\"]}", json.toText());
  KJ_EXPECT(jsonArray(nullptr) == "[]");
}

}  // namespace
}  // namespace ww
