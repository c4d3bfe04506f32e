#include <ww/image/name.h>

#include <kj/test.h>
#include <string.h>

namespace ww {
namespace {

void require(kj::StringPtr name) { requireName("etc", name.asArray()); }

KJ_TEST("names of files are taken") {
  for (auto name: {"main.wasm", "a b", "...", ".hidden", "..x", "é", "日本", "a\\b", "CON"}) {
    requireName("", kj::StringPtr(name).asArray());
  }
}

KJ_TEST("what is no name is refused, and the directory named") {
  KJ_EXPECT_THROW_MESSAGE("the directory 'etc' has a name that is empty", require(""));
  KJ_EXPECT_THROW_MESSAGE("leads elsewhere", require("."));
  KJ_EXPECT_THROW_MESSAGE("leads elsewhere", require(".."));
  KJ_EXPECT_THROW_MESSAGE("with / in it: '../../etc/passwd'", require("../../etc/passwd"));
  KJ_EXPECT_THROW_MESSAGE("with / in it", require("/"));
  KJ_EXPECT_THROW_MESSAGE("with NUL in it", require(kj::StringPtr("a\0b", 3)));
  KJ_EXPECT_THROW_MESSAGE("not UTF-8: '\\xff'", require("\xff"));
  KJ_EXPECT_THROW_MESSAGE("not UTF-8", require("\xc0\xaf"));
  KJ_EXPECT_THROW_MESSAGE("the directory 'a\\x1b[2J' has", requireName("a\x1b[2J", nullptr));
  auto longest = kj::heapString(MAX_NAME_BYTES);
  memset(longest.begin(), 'n', longest.size());
  require(longest);
  KJ_EXPECT_THROW_MESSAGE("more than 255 bytes", require(kj::str(longest, "n")));
}

KJ_TEST("names that differ in case alone are refused, in any script") {
  auto require = [](std::initializer_list<kj::StringPtr> names) {
    requireDistinct("lib", kj::arrayPtr(names.begin(), names.size()));
  };
  require({});
  require({"a", "b", "a.", "A b"});
  KJ_EXPECT_THROW_MESSAGE("'lib' has 'README' and 'Readme', which differ in case alone",
                          require({"Readme", "other", "README"}));
  KJ_EXPECT_THROW_MESSAGE("differ in case alone", require({"É", "x", "é"}));
  KJ_EXPECT_THROW_MESSAGE("differ in case alone", require({"straße", "STRASSE"}));
  KJ_EXPECT_THROW_MESSAGE("differ in case alone", require({"stra\u1E9Ee", "straße"}));
  KJ_EXPECT_THROW_MESSAGE("has the name 'x' twice", require({"x", "y", "x"}));
}

}  // namespace
}  // namespace ww
