// How the shell guest splits a line.
#include "../../guest/shell/words.h"

#include <kj/test.h>

namespace ww {
namespace {

// The words between bars, or what is wrong.
kj::String split(kj::StringPtr line) {
  auto result = splitWords(line);
  KJ_IF_MAYBE(problem, result.tryGet<kj::StringPtr>()) return kj::str("! ", *problem);
  return kj::strArray(result.get<kj::Array<kj::String>>(), "|");
}

KJ_TEST("words, quotes and backslashes as in a shell") {
  struct Case {
    kj::StringPtr line, words;
  } cases[] = {
    {"", ""}, {"  \t ", ""}, {"echo a  b\tc", "echo|a|b|c"},
    {"echo 'a  b' \"c  d\"", "echo|a  b|c  d"}, {"a'b'\"c\"d", "abcd"},
    {"'' \"\" x", "||x"}, {"'it\\'", "it\\"}, {"\"say \\\"hi\\\" \\\\ \\n\"", "say \"hi\" \\ \\n"},
    {"a\\ b \\'c\\'", "a b|'c'"}, {"\\\\", "\\"}, {"ü '€ uro'", "ü|€ uro"},
  };
  for (auto& c: cases) KJ_EXPECT(split(c.line) == c.words, c.line, split(c.line));
}

KJ_TEST("what is left open is said") {
  KJ_EXPECT(split("echo 'a") == "! unterminated single quote");
  KJ_EXPECT(split("echo \"a\\\"") == "! unterminated double quote");
  KJ_EXPECT(split("echo a\\") == "! nothing after the last backslash");
}

}  // namespace
}  // namespace ww
