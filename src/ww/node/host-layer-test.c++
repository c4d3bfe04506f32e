#include <ww/node/host-layer.h>

#include <kj/test.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>
#include <ww/node/image-tree.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

// Writes down what it is handed.
class ListingSink final: public TreeSink {
 public:
  void directory(kj::StringPtr path) override { lines.add(kj::str(path, "/")); }
  void beginFile(kj::StringPtr path, bool executable) override {
    lines.add(kj::str(path, executable ? "*=" : "="));
  }
  void piece(kj::ArrayPtr<const kj::byte> bytes) override {
    lines.back() = kj::str(lines.back(), bytes.asChars());
  }
  void endFile() override {}

  kj::Vector<kj::String> lines;
};

kj::String read(kj::StringPtr path, TreeLimits limits = TreeLimits()) {
  ListingSink sink;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    readHostLayer(path, limits, sink);
  })) {
    KJ_EXPECT(isNoImage(*exception), *exception);
    auto text = exception->getDescription().slice("not an image: "_kj.size());
    KJ_ASSERT(text.startsWith(path), text);
    return kj::str(text.slice(path.size()));
  }
  return kj::strArray(sink.lines, " ");
}

void link(TempFolder& folder, kj::StringPtr target, kj::StringPtr name) {
  KJ_SYSCALL(symlink(target.cStr(), folder.at(name).cStr()));
}

KJ_TEST("a folder, in the order of its names' bytes") {
  TempFolder folder;
  folder.write("i/main.wasm", "wasm");
  folder.write("i/etc/b", "2");
  folder.write("i/etc/a", "1");
  folder.write("i/B", "run", 0755);
  KJ_SYSCALL(mkdir(folder.at("i/empty").cStr(), 0700));
  constexpr auto WANTED = "B*=run empty/ etc/ etc/a=1 etc/b=2 main.wasm=wasm"_kj;
  KJ_EXPECT(read(folder.at("i")) == WANTED);
  link(folder, "i", "j");
  KJ_EXPECT(read(folder.at("j")) == WANTED);
}

KJ_TEST("a .wasm file is an image of one file") {
  TempFolder folder;
  folder.write("app.wasm", "wasm");
  link(folder, "app.wasm", "link.wasm");
  KJ_EXPECT(read(folder.at("app.wasm")) == "main.wasm=wasm");
  KJ_EXPECT(read(folder.at("link.wasm")) == "main.wasm=wasm");
  KJ_EXPECT(read(folder.at("gone")) == ": no such image (No such file or directory)");
  KJ_SYSCALL(mkfifo(folder.at("fifo").cStr(), 0600));
  KJ_EXPECT(read(folder.at("fifo")) == ": not a plain file");
}

KJ_TEST("links within the folder stand for what they lead to") {
  TempFolder folder;
  folder.write("i/lib/a", "1");
  link(folder, "lib/a", "i/file");
  link(folder, "lib", "i/to-lib");
  link(folder, "../file", "i/lib/up");
  KJ_EXPECT(read(folder.at("i")) ==
            "file=1 lib/ lib/a=1 lib/up=1 to-lib/ to-lib/a=1 to-lib/up=1");
}

KJ_TEST("links that lead out, nowhere or in a circle are refused by name") {
  auto refusal = [](kj::StringPtr target, kj::StringPtr name) {
    TempFolder folder;
    folder.write("i/d/a", "1");
    folder.write("secret", "2");
    link(folder, target, kj::str("i/", name));
    return read(folder.at("i"));
  };
  KJ_EXPECT(refusal("../secret", "x") == ": x: a symbolic link that leads out of the layer");
  KJ_EXPECT(refusal("../../secret", "d/x") == ": d/x: a symbolic link that leads out of the layer");
  KJ_EXPECT(refusal("/etc/passwd", "x") == ": x: a symbolic link that leads out of the layer");
  KJ_EXPECT(refusal("/proc/self/fd/0", "x") == ": x: a symbolic link that leads out of the layer");
  KJ_EXPECT(refusal("gone", "x") == ": x: a symbolic link that leads nowhere");
  KJ_EXPECT(refusal("x", "x") == ": x: a symbolic link that leads in a circle");
  KJ_EXPECT(refusal(".", "x") == ": x: a symbolic link to a folder that it is in: a circle");
  KJ_EXPECT(refusal("../d", "d/x") == ": d/x: a symbolic link to a folder that it is in: a circle");
}

KJ_TEST("what is neither a file nor a folder is refused by name, unopened") {
  TempFolder folder;
  folder.write("f/a", "1");
  KJ_SYSCALL(mkfifo(folder.at("f/pipe").cStr(), 0600));
  KJ_EXPECT(read(folder.at("f")) == ": pipe: a FIFO");
  folder.write("l/a", "1");
  KJ_SYSCALL(mkfifo(folder.at("l/z").cStr(), 0600));
  link(folder, "z", "l/link");
  KJ_EXPECT(read(folder.at("l")) == ": link: a FIFO");
  folder.write("s/a", "1");
  int fd;
  KJ_SYSCALL(fd = socket(AF_UNIX, SOCK_STREAM, 0));
  kj::AutoCloseFd closer(fd);
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  auto path = folder.at("s/sock");
  memcpy(address.sun_path, path.begin(), path.size());
  KJ_SYSCALL(bind(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)));
  KJ_EXPECT(read(folder.at("s")) == ": sock: a socket");
  KJ_EXPECT(read("/dev/null") == ": not a plain file");
}

KJ_TEST("a device file is refused by name") {
  TempFolder folder;
  folder.write("d/a", "1");
  if (mknod(folder.at("d/null").cStr(), S_IFCHR | 0600, makedev(1, 3)) < 0) {
    KJ_LOG(WARNING, "SKIPPED: a device file cannot be made here", strerror(errno));
    return;
  }
  KJ_EXPECT(read(folder.at("d")) == ": null: a device file");
}

KJ_TEST("names that are not UTF-8, and the limits") {
  TempFolder folder;
  folder.write("i/a", "123");
  folder.write("i/b/c", "4");
  TreeLimits limits;
  limits.entries = 2;
  KJ_EXPECT(read(folder.at("i"), limits) == ": b: more than 2 files and folders");
  limits = TreeLimits();
  limits.bytes = 3;
  KJ_EXPECT(read(folder.at("i"), limits) ==
            ": b/c: with this its files hold more than 3 bytes, which is the limit");
  limits = TreeLimits();
  limits.allPathBytes = 4;
  KJ_EXPECT(read(folder.at("i"), limits) ==
            ": b/c: with this all paths have more than 4 bytes, which is the limit");
  limits = TreeLimits();
  limits.depth = 1;
  KJ_EXPECT(read(folder.at("i"), limits) == ": b/c: deeper than 1 folders");
  KJ_SYSCALL(mkdir(folder.at("i/x\xff").cStr(), 0700));
  KJ_EXPECT(read(folder.at("i")) == ": x\\xff: a name that is not UTF-8");
}

KJ_TEST("a file that is too large is refused before it is read") {
  TempFolder folder;
  folder.write("i/a", "12345");
  ListingSink sink;
  TreeLimits limits;
  limits.bytes = 4;
  auto why = kj::runCatchingExceptions([&]() { readHostLayer(folder.at("i"), limits, sink); });
  KJ_EXPECT(KJ_ASSERT_NONNULL(why).getDescription().endsWith("4 bytes, which is the limit"));
  KJ_EXPECT(sink.lines.size() == 0);
}

KJ_TEST("links that multiply are bounded") {
  TempFolder folder;
  folder.write("i/0/a", "1");
  for (int i = 1; i < 40; i++) {
    KJ_SYSCALL(mkdir(folder.at(kj::str("i/", i)).cStr(), 0700));
    for (auto name: {"x", "y"}) link(folder, kj::str("../", i - 1), kj::str("i/", i, "/", name));
  }
  TreeLimits limits;
  limits.entries = 5000;
  auto said = read(folder.at("i"), limits);
  KJ_EXPECT(said.endsWith(": more than 5000 files and folders"), said);
}

}  // namespace
}  // namespace ww
