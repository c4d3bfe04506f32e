#include <ww/node/directory-store.h>

#include <fcntl.h>
#include <kj/test.h>
#include <unistd.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

constexpr uint64_t PLENTY = 1 << 20;

void put(Store& store, kj::StringPtr key, kj::StringPtr value) { store.put(key, value.asBytes()); }

kj::String read(Store& store, kj::StringPtr key) {
  KJ_IF_MAYBE(file, store.find(key)) return (*file)->readAllText();
  return kj::str("(none)");
}

KJ_TEST("values outlive the store, are replaced whole and removed") {
  TempFolder folder;
  {
    DirectoryStore store(folder.at("deep/down"), PLENTY);
    put(store, "key", "one");
    auto found = KJ_ASSERT_NONNULL(store.find("key"));
    put(store, "key", "two");
    KJ_EXPECT(found->readAllText() == "one");
    KJ_EXPECT(found->getFd() != nullptr, "can be mapped");
  }
  DirectoryStore store(folder.at("deep/down"), PLENTY);
  KJ_EXPECT(read(store, "key") == "two");
  KJ_EXPECT(read(store, "other") == "(none)");
  store.remove("key");
  store.remove("key");
  KJ_EXPECT(read(store, "key") == "(none)");
}

KJ_TEST("folder and files are their user's only") {
  TempFolder folder;
  DirectoryStore store(folder.at("code"), PLENTY);
  put(store, "key", "value");
  KJ_EXPECT(folder.mode("code") == 0700);
  KJ_EXPECT(folder.mode("code/key") == 0400);
  KJ_EXPECT_THROW_MESSAGE("not a key of a store", put(store, "../out", "x"));
}

KJ_TEST("a folder that others may write to is refused, with what to do about it") {
  TempFolder folder;
  folder.write("code/key", "planted");
  auto path = folder.at("code");
  KJ_SYSCALL(chmod(path.cStr(), 0777));
  auto chmodText = kj::str("run: chmod go-w ", path);
  KJ_EXPECT_THROW_MESSAGE(chmodText.cStr(), DirectoryStore(path, PLENTY));
  folder.write("file", "in the way");
  KJ_EXPECT_THROW_MESSAGE("cannot", DirectoryStore(folder.at("file"), PLENTY));
  KJ_EXPECT_THROW_MESSAGE("cannot", DirectoryStore(folder.at("file/below"), PLENTY));
}

KJ_TEST("links and folders in the place of a value are no value") {
  TempFolder folder;
  DirectoryStore store(folder.at("code"), PLENTY);
  folder.write("elsewhere", "foreign");
  KJ_SYSCALL(symlink(folder.at("elsewhere").cStr(), folder.at("code/link").cStr()));
  KJ_SYSCALL(mkdir(folder.at("code/folder").cStr(), 0700));
  KJ_EXPECT(read(store, "link") == "(none)");
  KJ_EXPECT(read(store, "folder") == "(none)");
  put(store, "link", "own");
  KJ_EXPECT(read(store, "link") == "own");
  KJ_EXPECT(folder.read("elsewhere") == "foreign");
}

KJ_TEST("the longest unused go when it is full, and what a killed process left behind") {
  TempFolder folder;
  DirectoryStore store(folder.at("code"), 30);
  folder.write("code/.part-1", "left behind by a process that was killed");
  for (auto key: {"a", "b", "c"}) {
    put(store, key, "0123456789");
    // Not all in one tick of the file system's clock: they are put in order by hand.
    timespec times[2] = {{1000 + key[0], 0}, {1000 + key[0], 0}};
    KJ_SYSCALL(utimensat(AT_FDCWD, folder.at(kj::str("code/", key)).cStr(), times, 0));
  }
  KJ_EXPECT(read(store, "a") == "0123456789");  // used just now
  put(store, "d", "0123456789");
  KJ_EXPECT(read(store, "b") == "(none)");
  for (auto key: {"a", "c", "d"}) KJ_EXPECT(read(store, key) == "0123456789", key);
  KJ_EXPECT(folder.list("code").size() == 3);
}

KJ_TEST("a file over the limit is not read") {
  TempFolder folder;
  DirectoryStore store(folder.at("code"), 10);
  folder.write("code/large", "0123456789x");
  KJ_EXPECT(read(store, "large") == "(none)");
}

}  // namespace
}  // namespace ww
