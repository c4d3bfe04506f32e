#include <ww/cli/line-history.h>

#include <kj/test.h>
#include <sys/stat.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

kj::String linesOf(const LineHistory& history) { return kj::strArray(history.getLines(), "|"); }

KJ_TEST("lines are there again, in a private file, and what is none is not kept") {
  TempFolder folder;
  auto where = folder.at("data");
  LineHistory history(where);
  for (auto line: {"one"_kj, "two  words"_kj, "two  words"_kj, ""_kj, "  "_kj, "a\x1b[2J"_kj,
                   "\xff"_kj, "ö"_kj}) {
    history.add(line);
  }
  history.add(kj::str(kj::repeat('x', LineHistory::MAX_LINE_BYTES + 1)));
  KJ_EXPECT(linesOf(history) == "one|two  words|ö");
  KJ_EXPECT(linesOf(LineHistory(where)) == "one|two  words|ö");
  KJ_EXPECT(folder.mode("data/history") == 0600);
  folder.write("data/history", "one\n", 0644);
  LineHistory again(where);
  KJ_EXPECT(folder.mode("data/history") == 0600);
}

KJ_TEST("it is bounded, and two processes keep each other's lines") {
  TempFolder folder;
  auto where = folder.at("data");
  LineHistory one(where), other(where);
  for (size_t i = 0; i < LineHistory::MAX_LINES; i++) one.add(kj::str("one ", i));
  other.add("other");
  one.add("last");
  LineHistory now(where);
  KJ_ASSERT(now.getLines().size() == LineHistory::MAX_LINES);
  KJ_EXPECT(now.getLines().front() == "one 2");
  KJ_EXPECT(now.getLines()[LineHistory::MAX_LINES - 2] == "other");
  KJ_EXPECT(now.getLines().back() == "last");
}

KJ_TEST("a file that is none is refused by its name") {
  TempFolder folder;
  auto where = folder.at("data");
  KJ_SYSCALL(mkdir(where.cStr(), 0700));
  KJ_SYSCALL(mkdir(kj::str(where, "/history").cStr(), 0700));
  auto problem = KJ_ASSERT_NONNULL(kj::runCatchingExceptions([&]() {
    LineHistory history(where);
  }));
  KJ_EXPECT(problem.getDescription().startsWith(kj::str(where, "/history: ")), problem);
}

}  // namespace
}  // namespace ww
