// What takes what is written where a person names a file: what is replaced, what is written to as
// it is, and what is left alone.
#include <ww/node/output-file.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <kj/test.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

constexpr auto WRITTEN = "all of it"_kj;

struct Fixture {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  TempFolder folder;

  Fixture() { folder.write("kept/images/blocks.db", "the store"); }

  // Why it was not done.
  kj::String write(kj::StringPtr name) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
      writeOutput(folder.at(name), folder.at("kept"), [](kj::AsyncOutputStream& out) {
        return out.write(WRITTEN.begin(), WRITTEN.size());
      }).wait(io.waitScope);
    })) {
      return kj::str(e->getDescription());
    }
    return kj::str();
  }
  kj::String refusal(kj::StringPtr name) {
    auto why = write(name), place = kj::str(folder.at(name), ": ");
    KJ_ASSERT(why.startsWith(place), why);
    return kj::str(why.slice(place.size()));
  }
  void link(kj::StringPtr target, kj::StringPtr name) {
    KJ_SYSCALL(symlink(target.cStr(), folder.at(name).cStr()));
  }
  mode_t kindOf(kj::StringPtr name) {
    struct stat info;
    KJ_SYSCALL(lstat(folder.at(name).cStr(), &info));
    return info.st_mode & S_IFMT;
  }
};

KJ_TEST("a file is made, or replaced, also where a link leads to it") {
  Fixture f;
  KJ_EXPECT(f.write("new") == "" && f.folder.read("new") == WRITTEN);
  f.folder.write("old/file", "something that is longer than that");
  f.link("old/file", "link");
  KJ_EXPECT(f.write("link") == "" && f.folder.read("old/file") == WRITTEN);
  KJ_EXPECT(f.kindOf("link") == S_IFLNK);
  KJ_EXPECT(f.write("new") == "" && f.folder.list("").size() == 4);
}

KJ_TEST("a file that is replaced keeps its mode") {
  Fixture f;
  for (mode_t mode: {0600, 0666, 0755}) {
    f.folder.write("file", "something", mode);
    KJ_EXPECT(f.write("file") == "" && f.folder.read("file") == WRITTEN);
    KJ_EXPECT(f.folder.mode("file") == mode, mode);
  }
}

KJ_TEST("a FIFO and a device are written to as they are") {
  Fixture f;
  KJ_SYSCALL(mkfifo(f.folder.at("fifo").cStr(), 0600));
  int raw;
  KJ_SYSCALL(raw = open(f.folder.at("fifo").cStr(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  kj::AutoCloseFd reader(raw);
  KJ_EXPECT(f.write("fifo") == "" && f.kindOf("fifo") == S_IFIFO);
  KJ_EXPECT(kj::FdInputStream(reader.get()).readAllText() == WRITTEN);
  if (mknod(f.folder.at("null").cStr(), S_IFCHR | 0600, makedev(1, 3)) < 0) {
    KJ_LOG(WARNING, "SKIPPED: a device file cannot be made here", strerror(errno));
    return;
  }
  KJ_EXPECT(f.write("null") == "" && f.kindOf("null") == S_IFCHR);
}

KJ_TEST("what is neither is refused, and left as it is") {
  Fixture f;
  KJ_EXPECT(f.refusal("kept") == "this is a folder: name a file");
  f.link("nowhere", "dangling");
  KJ_EXPECT(f.refusal("dangling") == "a symbolic link that leads nowhere");
  KJ_EXPECT(f.refusal("none/file") == "cannot be made (No such file or directory)");
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  auto place = f.folder.at("socket");
  KJ_ASSERT(place.size() < sizeof(address.sun_path));
  memcpy(address.sun_path, place.begin(), place.size());
  int raw;
  KJ_SYSCALL(raw = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd socket(raw);
  KJ_SYSCALL(bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
  KJ_EXPECT(f.refusal("socket") == "this is neither a plain file nor a pipe");
  KJ_EXPECT(f.kindOf("socket") == S_IFSOCK && f.kindOf("dangling") == S_IFLNK);
}

KJ_TEST("nothing is written where the node keeps what it keeps, by whichever way") {
  Fixture f;
  f.link("kept/images", "images");
  f.link("kept/images/blocks.db", "db");
  for (auto name: {"kept/images/blocks.db", "kept/new", "images/blocks.db", "images/new", "db"}) {
    auto why = f.write(name);
    KJ_EXPECT(why.endsWith(kj::str("this is in ", f.folder.at("kept"), ", where no file of yours "
                                   "belongs: name another place")), name, why);
  }
  f.folder.write("disk/code/x", "compiled");
  f.link("../disk/code", "kept/code");
  for (auto name: {"disk/code/x", "disk/code/new", "kept/code/x"}) {
    KJ_EXPECT(has(f.write(name), "where no file of yours belongs"), name);
  }
  KJ_EXPECT(f.write("disk/new") == "" && f.folder.read("disk/code/x") == "compiled");
  KJ_SYSCALL(unlink(f.folder.at("kept/code").cStr()));
  KJ_EXPECT(f.folder.read("kept/images/blocks.db") == "the store");
  KJ_EXPECT(f.folder.list("kept").size() == 1 && f.folder.list("kept/images").size() == 1);
  KJ_EXPECT(f.write("kept-not") == "");
}

}  // namespace
}  // namespace ww
