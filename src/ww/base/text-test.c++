#include <ww/base/text.h>

#include <kj/test.h>

namespace ww {
namespace {

bool isUtf8Text(kj::StringPtr text) { return isUtf8(text.asBytes()); }

KJ_TEST("UTF-8, strictly") {
  for (auto text: {"", "plain", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                   "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    KJ_EXPECT(isUtf8Text(text), escapeText(text));
  }
  for (auto text: {"\x80", "\xbf", "\xc2", "\xc2z", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80",
                   "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80",
                   "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xff z"}) {
    KJ_EXPECT(!isUtf8Text(text), escapeText(text));
  }
}

KJ_TEST("what could end a line or command a terminal is shown, not done") {
  KJ_EXPECT(escapeText("plain text, caf\xc3\xa9") == "plain text, caf\xc3\xa9");
  KJ_EXPECT(escapeText("a\nb\tc\\d") == "a\\nb\\tc\\\\d");
  KJ_EXPECT(escapeText("\x1b[2J\r\x07") == "\\x1b[2J\\x0d\\x07");
  KJ_EXPECT(escapeText("\x7f") == "\\x7f");
  for (auto unseen: {"\xe2\x80\xae", "\xe2\x80\x8b", "\xe2\x80\xa8", "\xe2\x81\xa6",
                     "\xef\xbb\xbf", "\xd8\x9c"}) {
    KJ_EXPECT(escapeText(unseen).startsWith("\\x"), escapeText(unseen));
  }
  for (auto seen: {"\xe2\x80\x94", "\xe2\x82\xac", "\xd8\x9d", "\xf0\x9f\x99\x82"}) {
    KJ_EXPECT(escapeText(seen) == seen);
  }
  KJ_EXPECT(escapeText("\xff\xc3") == "\\xff\\xc3");
  // The 8-bit escape character, as UTF-8.
  KJ_EXPECT(escapeText("\xc2\x9b" "2J").findFirst('\x9b') == nullptr);
}

KJ_TEST("what is long is shown in part, in whole characters") {
  KJ_EXPECT(shorten("") == "" && shorten("short") == "short");
  kj::String text = kj::str("");
  for (int i = 0; i < 150; i++) text = kj::str(text, "\xc3\xa9");
  for (auto& one: {kj::str(text), kj::str("a", text)}) {
    auto shown = shorten(one);
    KJ_EXPECT(shown.size() < 210 && shown.endsWith("[...]") && isUtf8(shown.asBytes()), shown);
  }
}

KJ_TEST("in JSON nothing commands a terminal, or hides, either; the rest is as it is") {
  KJ_EXPECT(quoteJson("a\"b\\c") == "\"a\\\"b\\\\c\"");
  KJ_EXPECT(quoteJson("\n\x1b\x7f") == "\"\\u000a\\u001b\\u007f\"");
  KJ_EXPECT(quoteJson("\u009b\u202e\u2028\u061c\ufeff") ==
            "\"\\u009b\\u202e\\u2028\\u061c\\ufeff\"");
  KJ_EXPECT(quoteJson("\u00e9\u20ac\U0001f600") == "\"\u00e9\u20ac\U0001f600\"");
}

KJ_TEST("the folder of a path") {
  KJ_EXPECT(folderOf("a/b/c") == "a/b" && folderOf("/a") == "/" && folderOf("a") == ".");
  KJ_EXPECT(folderOf("/a/b") == "/a" && folderOf("./a") == ".");
}

}  // namespace
}  // namespace ww
