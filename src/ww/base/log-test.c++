#include <ww/base/log.h>

#include <kj/test.h>

namespace ww {
namespace {

kj::Array<LogField> fields(std::initializer_list<kj::StringPtr> values) {
  kj::Vector<LogField> result;
  for (auto value: values) result.add(LogField{"value", kj::str(value)});
  return result.releaseAsArray();
}

KJ_TEST("levels go by their names and no others") {
  for (auto level: {LogLevel::TRACE, LogLevel::DEBUG, LogLevel::INFO, LogLevel::WARNING,
                    LogLevel::ERROR}) {
    KJ_EXPECT(KJ_ASSERT_NONNULL(findLogLevel(name(level))) == level);
  }
  for (auto text: {"", "INFO", "warn", "info ", "5"}) {
    KJ_EXPECT(findLogLevel(text) == nullptr, text);
  }
}

KJ_TEST("a line of text") {
  KJ_EXPECT(renderText(LogLevel::INFO, "now", "a cell ended", fields({"7"})) ==
            "now info: a cell ended value=7\n");
  KJ_EXPECT(renderText(LogLevel::ERROR, "", "oh", nullptr) == "error: oh\n");
}

KJ_TEST("a line of JSON") {
  KJ_EXPECT(renderJson(LogLevel::WARNING, "now", "a cell ended", fields({"7"})) ==
            "{\"time\":\"now\",\"level\":\"warning\",\"event\":\"a cell ended\","
            "\"value\":\"7\"}\n");
}

KJ_TEST("what a guest chose forges no line, in text or in JSON") {
  auto hostile = fields({"x\nerror: forged", "\x1b[2J", "a b", "\"quoted\"", "\xff\xfe", ""});
  auto text = renderText(LogLevel::INFO, "", "said", hostile);
  auto json = renderJson(LogLevel::INFO, "", "said", hostile);
  for (auto line: {kj::StringPtr(text), kj::StringPtr(json)}) {
    KJ_EXPECT(KJ_ASSERT_NONNULL(line.findFirst('\n')) == line.size() - 1, line);
    for (char c: line.slice(0, line.size() - 1)) KJ_EXPECT(kj::byte(c) >= ' ' && c != 0x7f, line);
  }
  // A field ends where it seems to: a value with a blank or a quote is quoted.
  KJ_EXPECT(renderText(LogLevel::INFO, "", "said", fields({"a b"})) ==
            "info: said value=\"a b\"\n");
  KJ_EXPECT(renderText(LogLevel::INFO, "", "said", fields({"a other=b"})) ==
            "info: said value=\"a other=b\"\n");
}

KJ_TEST("a memory logger keeps lines in order") {
  MemoryLogger logger;
  logger.log(LogLevel::INFO, "one");
  logger.log(LogLevel::ERROR, "two", {{"n", kj::str(2)}});
  KJ_ASSERT(logger.getLines().size() == 2);
  KJ_EXPECT(logger.getLines()[0] == "info: one\n", logger.getLines()[0]);
  KJ_EXPECT(logger.getLines()[1] == "error: two n=2\n", logger.getLines()[1]);
}

}  // namespace
}  // namespace ww
