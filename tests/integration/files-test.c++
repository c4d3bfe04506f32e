// What pid0 has of files, with real guests: an image's tree, a scratch folder, volumes; and that
// nobody else has any.
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/test.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/node/temp-folder.h>
#include "test-node.h"

namespace ww {
namespace {

CellFolder open(kj::StringPtr host, kj::StringPtr guest, bool writable, bool foreign) {
  int fd;
  KJ_SYSCALL(fd = ::open(host.cStr(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return {kj::AutoCloseFd(fd), kj::str(guest), writable, foreign};
}

// An image with a few files, and a folder beside it.
struct Place {
  TempFolder temp;

  Place() {
    temp.write("image/etc/greeting", "hello\n");
    temp.write("image/etc/empty", "");
    temp.write("image/file", "one");
    temp.write("secret", "not the cell's");
    temp.write("volume/file", "two");
    KJ_SYSCALL(mkdir(temp.at("image/empty").cStr(), 0700));
    KJ_SYSCALL(mkdir(temp.at("volume/empty").cStr(), 0700));
  }

  CellFiles files() {
    CellFiles files;
    files.folders.add(open(temp.at("image"), "/", false, false));
    files.scratch = kj::str("/tmp");
    return files;
  }

  CellFiles withVolume(bool writable) {
    auto given = files();
    given.folders.add(open(temp.at("volume"), "/mnt/v", writable, true));
    return given;
  }
};

struct Ran {
  int32_t code;
  kj::String out;
};

kj::Own<Cell> boot(TestNode& node, CellFiles files, Words args) {
  auto owned = kj::heapArrayBuilder<kj::String>(args.size());
  for (auto arg: args) owned.add(kj::str(arg));
  return node.node.boot(component("cell-files"), owned.finish(), nullptr, kj::mv(files))
      .wait(node.waitScope);
}

Ran runPid0(TestNode& node, CellFiles files, Words args) {
  auto cell = boot(node, kj::mv(files), args);
  auto out = cell->getStdout().takeStream();
  auto text = out->readAllText().wait(node.waitScope);
  return {cell->wait().wait(node.waitScope), kj::mv(text)};
}

// In a node of its own.
kj::String say(CellFiles files, Words args, int32_t code = 0) {
  TestNode node;
  auto ran = runPid0(node, kj::mv(files), args);
  KJ_EXPECT(ran.code == code, ran.out);
  return kj::mv(ran.out);
}

KJ_TEST("an image's files are read as any program reads files") {
  Place place;
  KJ_EXPECT(say(place.files(), {"given"}) == "/\n/tmp\n");
  KJ_EXPECT(say(place.files(), {"cat", "/etc/greeting", "etc/empty", "etc/../file"}) ==
            "hello\none");
  KJ_EXPECT(say(place.files(), {"ls", "/"}) == "empty/\netc/\nfile\n");
  KJ_EXPECT(say(place.files(), {"ls", "/etc"}) == "empty\ngreeting\n");
  KJ_EXPECT(say(place.files(), {"cat", "/gone"}, 1) == "/gone: No such file or directory\n");
  KJ_EXPECT(say(place.files(), {"ls", "/file"}) == "Not a directory\n");
  // More than one call gives.
  auto large = kj::str(kj::repeat('x', 200'000));
  place.temp.write("image/large", large);
  KJ_EXPECT(say(place.files(), {"cat", "/large"}) == large);
}

kj::String eachWay(kj::StringPtr said) {
  kj::Vector<kj::String> lines;
  for (auto way: {"create", "write", "truncate", "mkdir", "rename", "unlink", "rmdir"}) {
    lines.add(kj::str(way, ": ", said, "\n"));
  }
  return kj::strArray(lines, "");
}

KJ_TEST("an image's files are not changed") {
  Place place;
  KJ_EXPECT(say(place.files(), {"change", "/"}) == eachWay("Operation not permitted"));
  KJ_EXPECT(say(place.files(), {"write", "/etc/greeting", "x"}, 1) ==
            "/etc/greeting: Operation not permitted\n");
  KJ_EXPECT(place.temp.read("image/etc/greeting") == "hello\n");
  KJ_EXPECT(place.temp.list("image").size() == 3);
}

KJ_TEST("what other trees have the same file is not seen") {
  Place place;
  KJ_SYSCALL(link(place.temp.at("image/file").cStr(), place.temp.at("other").cStr()));
  KJ_SYSCALL(link(place.temp.at("volume/file").cStr(), place.temp.at("another").cStr()));
  KJ_EXPECT(say(place.files(), {"links", "/file"}) == "1 1\n");
  KJ_EXPECT(say(place.withVolume(false), {"links", "/mnt/v/file"}) == "2 2\n");
}

KJ_TEST("a volume is read, or written to where it may be") {
  Place place;
  KJ_EXPECT(say(place.withVolume(false), {"given"}) == "/\n/mnt/v\n/tmp\n");
  KJ_EXPECT(say(place.withVolume(false), {"cat", "/mnt/v/file"}) == "two");
  KJ_EXPECT(say(place.withVolume(false), {"change", "/mnt/v"}) ==
            eachWay("Operation not permitted"));
  KJ_EXPECT(place.temp.read("volume/file") == "two");
  KJ_EXPECT(say(place.withVolume(true), {"write", "/mnt/v/new", "three"}) == "written\n");
  KJ_EXPECT(place.temp.read("volume/new") == "three");
  KJ_EXPECT(say(place.withVolume(true), {"append", "/mnt/v/new", "four"}) == "written\n");
  KJ_EXPECT(place.temp.read("volume/new") == "threefour");
  KJ_EXPECT(say(place.withVolume(true), {"change", "/mnt/v"}) ==
            "create: done\nwrite: done\ntruncate: done\nmkdir: done\nrename: done\n"
            "unlink: No such file or directory\nrmdir: done\n");
  KJ_SYSCALL(mkdir(place.temp.at("volume/used").cStr(), 0700));
  KJ_EXPECT(say(place.withVolume(true), {"use", "/mnt/v/used"}).endsWith("used\n"));
}

KJ_TEST("links are made and times are set where files may be changed") {
  Place place;
  auto said = say(place.withVolume(true), {"link", "/mnt/v"});
  KJ_EXPECT(said == "link: done\nsymlink: done\nreadlink: done\nutimensat: done\nat 2000000000\n"
                    "futimens: done\nat 1500000000\n", said);
  struct stat info;
  KJ_SYSCALL(stat(place.temp.at("volume/file").cStr(), &info));
  KJ_EXPECT(info.st_atim.tv_sec == 1'000'000'000 && info.st_atim.tv_nsec == 1);
  KJ_EXPECT(info.st_mtim.tv_sec == 1'500'000'000 && info.st_mtim.tv_nsec == 3);
  KJ_EXPECT(info.st_nlink == 2);
  KJ_EXPECT(place.temp.read("volume/hard") == "two" && place.temp.read("volume/soft") == "two");

  KJ_SYSCALL(stat(place.temp.at("image/file").cStr(), &info));
  constexpr auto NOT = "Operation not permitted\n"_kj;
  auto at = kj::str("at ", info.st_mtim.tv_sec, "\n");
  said = say(place.files(), {"link", "/"});
  KJ_EXPECT(said == kj::str("link: ", NOT, "symlink: ", NOT,
                            "readlink: No such file or directory\nutimensat: ", NOT, at,
                            "futimens: ", NOT, at), said);
}

KJ_TEST("/tmp has no links, and times that are set") {
  Place place;
  TestNode node;
  auto said = runPid0(node, place.files(), {"link", "/tmp"}).out;
  KJ_EXPECT(said == "written\nlink: Operation not permitted\nsymlink: Operation not permitted\n"
                    "readlink: No such file or directory\nutimensat: done\nat 2000000000\n"
                    "futimens: done\nat 1500000000\n", said);
}

KJ_TEST("what else libc asks for is there, or an error that says that it is not") {
  Place place;
  KJ_EXPECT(say(place.files(), {"rest"}) == "done\n");
}

KJ_TEST("a file's stream is read by blocking reads, to its end and behind it") {
  Place place;
  constexpr auto SAID = "2: on\n1: e\nclosed\nclosed\nclosed\n"_kj;
  auto said = say(place.files(), {"take", "file"});
  KJ_EXPECT(said == SAID, said);
}

KJ_TEST("/tmp is used as any folder, and is gone with its cell") {
  Place place;
  TestNode node;
  auto used = runPid0(node, place.files(), {"use", "/tmp"});
  KJ_EXPECT(used.code == 0 && used.out.endsWith("used\n"), used.out);
  KJ_EXPECT(runPid0(node, place.files(), {"write", "/tmp/x", "1"}).code == 0);
  KJ_EXPECT(runPid0(node, place.files(), {"ls", "/tmp"}).out == "");
  KJ_EXPECT(node.node.getMemory() == 0);
}

NodeOptions withMemory(uint64_t bytes) {
  NodeOptions options;
  options.cell.memoryBytes = bytes;
  return options;
}

KJ_TEST("what is in /tmp is the cell's memory") {
  Place place;
  TestNode node(withMemory(24 << 20));
  auto filled = runPid0(node, place.files(), {"fill", "/tmp"});
  KJ_EXPECT(filled.code == 0);
  KJ_EXPECT(contains(filled.out, " MiB, then: No space left on device\n"), filled.out);
  KJ_EXPECT(filled.out.endsWith("as much again\n"), filled.out);
  KJ_EXPECT(node.logged("a limit was hit") && node.logged("limit=memory"));
  KJ_EXPECT(node.node.getMemory() == 0);
  KJ_EXPECT(node.answers());
}

KJ_TEST("there are so many files in /tmp, and so large they are") {
  Place place;
  KJ_EXPECT(say(place.files(), {"create", "/tmp"}) ==
            "65535 files, then: No space left on device\n");
  KJ_EXPECT(say(place.files(), {"hole", "/tmp"}) ==
            "far: done\ntoo far: File too large\nfarthest: File too large\n"
            "too large: File too large\n");
}

size_t countDescriptors() {
  return kj::newDiskFilesystem()->getRoot()
      .openSubdir(kj::Path({"proc", "self", "fd"}))->listNames().size();
}

KJ_TEST("a cell has so many of the host's files open") {
  Place place;
  TestNode node;
  auto before = countDescriptors();
  auto held = runPid0(node, place.files(), {"hold", "/file", "100000"});
  KJ_EXPECT(held.code == 0);
  KJ_EXPECT(held.out == "512 open: Quota exceeded\nagain: done\n", held.out);
  KJ_EXPECT(countDescriptors() <= before + 8);  // all but what the node itself opened meanwhile
  // Those of /tmp are WASI resources and no more.
  KJ_EXPECT(runPid0(node, place.files(), {"hold", "/tmp", "9000"}).out ==
            "9000 open: as asked\nagain: done\n");
  KJ_EXPECT(runPid0(node, place.files(), {"hold", "/tmp", "100000"}).code == 134);
  KJ_EXPECT(node.logged("limit=resources"));
  KJ_EXPECT(node.answers());
}

KJ_TEST("what streams read ahead is the cell's memory") {
  Place place;
  place.temp.write("image/large", kj::str(kj::repeat('x', 200'000)));
  TestNode node(withMemory(8 << 20));
  auto read = runPid0(node, place.files(), {"stream", "large", "5000"});
  KJ_EXPECT(read.code == 0);
  KJ_EXPECT(read.out.endsWith(" streams, then: error 22\n"), read.out);  // insufficient-memory
  KJ_EXPECT(node.node.getMemory() == 0);
}

KJ_TEST("no path leads out of what a cell was given") {
  Place place;
  auto link = [&](kj::StringPtr target, kj::StringPtr name) {
    KJ_SYSCALL(symlink(target.cStr(), place.temp.at(name).cStr()));
  };
  link("../secret", "image/up");
  link("/etc/passwd", "image/absolute");
  link("file", "image/within");
  link("../../secret", "image/etc/farther");
  link("loop", "image/loop");
  constexpr auto NOT_PERMITTED = "error 31"_kj, LOOP = "error 15"_kj;
  auto said = say(place.files(), {"open", "..", "../secret", "etc/../../secret", "/etc/passwd",
                                  "up", "absolute", "etc/farther", "loop", "within", "etc/.."});
  KJ_EXPECT(said == kj::str("..: ", NOT_PERMITTED, "\n../secret: ", NOT_PERMITTED,
                            "\netc/../../secret: ", NOT_PERMITTED, "\n/etc/passwd: ",
                            NOT_PERMITTED, "\nup: ", NOT_PERMITTED, "\nabsolute: ", NOT_PERMITTED,
                            "\netc/farther: ", NOT_PERMITTED, "\nloop: ", LOOP,
                            "\nwithin: opened\netc/..: opened\n"), said);
  KJ_EXPECT(say(place.files(), {"cat", "/../../secret"}, 1).startsWith("/../../secret: "));
  KJ_EXPECT(say(place.files(), {"cat", "/tmp/../file"}, 1).startsWith("/tmp/../file: "));
}

KJ_TEST("what is no file or folder in a volume is refused, and keeps nobody waiting") {
  Place place;
  KJ_SYSCALL(mkfifo(place.temp.at("volume/fifo").cStr(), 0600));
  KJ_SYSCALL(symlink("fifo", place.temp.at("volume/link").cStr()));
  KJ_EXPECT(say(place.withVolume(true), {"cat", "/mnt/v/fifo", "/mnt/v/link", "/mnt/v/file"}, 1) ==
            "/mnt/v/fifo: Permission denied\n/mnt/v/link: Permission denied\ntwo");
  KJ_EXPECT(say(place.withVolume(true), {"ls", "/mnt/v"}) == "empty/\nfifo\nfile\nlink\n");
}

KJ_TEST("a cell that is started has no files") {
  Place place;
  TestNode node;
  auto pid0 = boot(node, place.withVolume(true), {"park"});
  auto given = node.runToEnd("cell-files", {"given"});
  KJ_EXPECT(given.code == 0 && given.out == "");
  auto read = node.runToEnd("cell-files", {"cat", "/etc/greeting"});
  KJ_EXPECT(read.code == 1 && !contains(read.out, "hello"), read.out);
  KJ_EXPECT(node.runToEnd("cell-files", {"write", "/tmp/x", "1"}).code == 1);
  pid0->end(EXIT_KILLED);
}

KJ_TEST("a cell that is killed amid its files leaves nothing open") {
  Place place;
  TestNode node;
  auto before = countDescriptors();
  for (int i = 0; i < 20; i++) {
    auto cell = boot(node, place.files(), {"fill", "/tmp"});
    cell->end(EXIT_KILLED);
    KJ_EXPECT(node.node.getMemory() == 0);
  }
  KJ_EXPECT(countDescriptors() <= before + 8);
  KJ_EXPECT(node.answers());
}

}  // namespace
}  // namespace ww
