#include <ww/node/folder-remover.h>

#include <algorithm>
#include <fcntl.h>
#include <kj/test.h>
#include <unistd.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

kj::AutoCloseFd open(TempFolder& folder, kj::StringPtr name) {
  int fd;
  KJ_SYSCALL(fd = ::open(folder.at(name).cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return kj::AutoCloseFd(fd);
}

KJ_TEST("the names in a folder are all there is in it") {
  TempFolder temp;
  temp.write("f/b", "");
  temp.write("f/.a", "");
  temp.write("f/d/c", "");
  auto names = listNames(open(temp, "f"));
  std::sort(names.begin(), names.end());
  KJ_EXPECT(kj::strArray(names, " ") == ".a b d");
  auto file = kj::AutoCloseFd(::open(temp.at("f/b").cStr(), O_RDONLY | O_CLOEXEC));
  KJ_EXPECT_THROW_MESSAGE("Not a directory", listNames(file));
}

KJ_TEST("what is removed goes with all that is in it, and nothing that it links to") {
  TempFolder temp;
  temp.write("f/gone/a/b/c", "1");
  temp.write("f/gone/d", "2", 0400);
  temp.write("f/kept/e", "3");
  KJ_SYSCALL(symlink("../kept", temp.at("f/gone/link").cStr()));
  KJ_SYSCALL(symlink("kept", temp.at("f/link").cStr()));
  auto folder = open(temp, "f");
  FolderRemover remover(folder);
  for (auto name: {"gone", "link", "never there"}) remover.remove(kj::str(name));
  remover.waitUntilRemoved();
  auto left = temp.list("f");
  KJ_ASSERT(left.size() == 1 && left[0] == "kept", left);
  KJ_EXPECT(temp.read("f/kept/e") == "3");
}

KJ_TEST("what is given while others go is removed too, and at the end what is left") {
  TempFolder temp;
  for (auto i: kj::zeroTo(200)) temp.write(kj::str("f/", i, "/a"), "");
  auto folder = open(temp, "f");
  {
    FolderRemover remover(folder);
    for (auto i: kj::zeroTo(100)) remover.remove(kj::str(i));
    remover.waitUntilRemoved();
    KJ_EXPECT(temp.list("f").size() == 100);
    for (auto i: kj::zeroTo(100)) remover.remove(kj::str(100 + i));
  }
  KJ_EXPECT(temp.list("f").size() == 0);
}

KJ_TEST("what somebody left is removed while there is time, and keeps nobody from his end") {
  TempFolder temp;
  auto folder = open(temp, "");
  {
    temp.write("old/a", "");
    FolderRemover remover(folder);
    remover.removeLeftover(kj::str("old"));
    remover.waitUntilRemoved();
    KJ_EXPECT(temp.list("").size() == 0);
  }
  // Fewer than are removed at an end. How far it comes before that is anybody's guess: not to the
  // last of them, every time.
  kj::uint left = 0;
  for (kj::uint i = 0; i < 20 && left == 0; i++) {
    for (auto j: kj::zeroTo(2000)) temp.write(kj::str("old/", j), "");
    temp.write("own/a", "");
    {
      FolderRemover remover(folder);
      remover.removeLeftover(kj::str("old"));
      remover.remove(kj::str("own"));
    }
    auto names = temp.list("");
    left = names.size();
    KJ_ASSERT(left == 0 || (left == 1 && names[0] == "old"), names);
  }
  KJ_EXPECT(left == 1);
}

}  // namespace
}  // namespace ww
