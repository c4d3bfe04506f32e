// What ends a query.
#include <ww/node/sqlite.h>

#include <kj/test.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

KJ_TEST("what is read ends within some steps of when it is enough") {
  TempFolder folder;
  SqliteOptions options;
  options.create = true;
  SqliteFile file(folder.at("file.db"), options);
  std::atomic<bool> isEnough = false;
  file.stopWhen(isEnough);
  auto count = [&](int rows) -> kj::String {
    return file.ask(kj::str("WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM "
        "number WHERE n < ", rows, ") SELECT count(*) FROM number")).orDefault(kj::String());
  };
  auto counted = count(1000);
  KJ_EXPECT(counted == "1000");
  isEnough = true;
  KJ_EXPECT_THROW_MESSAGE("interrupted", count(100));
}

}  // namespace
}  // namespace ww
