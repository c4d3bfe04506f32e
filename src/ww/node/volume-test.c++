#include <ww/node/volume.h>

#include <fcntl.h>
#include <kj/test.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/node/mounts.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

kj::String parse(kj::StringPtr text) {
  auto parsed = parseVolume(text);
  KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) return kj::mv(*problem);
  auto& volume = parsed.get<Volume>();
  return kj::str(volume.host, " ", volume.guest, volume.writable ? " rw" : " ro");
}

// Why it is refused; else what the cell would have.
kj::String open(kj::ArrayPtr<const Volume> volumes, kj::ArrayPtr<const kj::StringPtr> kept) {
  kj::String said;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    auto folders = openVolumes(volumes, kept);
    said = kj::strArray(KJ_MAP(f, folders) {
      return kj::str(f.path, f.writable ? " rw" : " ro", f.foreign ? "" : " its own");
    }, ", ");
  })) {
    return kj::str(exception->getDescription());
  }
  return said;
}

KJ_TEST("what a volume's words say") {
  KJ_EXPECT(parse("/srv:/data") == "/srv /data ro");
  KJ_EXPECT(parse("/srv:/data:ro") == "/srv /data ro");
  KJ_EXPECT(parse("./a:b:/data/x/:rw") == "./a:b /data/x rw");
  KJ_EXPECT(parse("/srv:/tmp/x") == "/srv /tmp/x ro");
  constexpr auto TO_DO = "it takes HOST:GUEST, or HOST:GUEST:rw to write to it"_kj;
  for (auto none: {"", ":", "/srv", "/srv:rw", ":/data", "rw"}) {
    auto said = parse(none);
    KJ_EXPECT(said.endsWith(TO_DO) && said.startsWith(none), said);
  }
  KJ_EXPECT(parse("/srv:data").startsWith("/srv:data: the path in the cell is not absolute ("));
  KJ_EXPECT(parse("/srv:/data:RW").startsWith("/srv:/data:RW: the path in the cell is not "));
  for (auto own: {"/", "//", "/tmp", "/tmp/"}) {
    auto said = parse(kj::str("/srv:", own));
    KJ_EXPECT(said.endsWith(TO_DO), said);
  }
  for (auto odd: {"/a//b", "/a/../b", "/..", "/./a"}) {
    auto said = parse(kj::str("/srv:", odd));
    KJ_EXPECT(said == kj::str("/srv:", odd, ": the path in the cell has an empty name, `.` or "
                              "`..` in it; ", TO_DO), said);
  }
  KJ_EXPECT(parse("/srv:/a\xff").startsWith("/srv:/a"));
  KJ_EXPECT(parse("/srv:/a\xff").endsWith(kj::str("the path in the cell is not UTF-8; ", TO_DO)));
}

KJ_TEST("folders are opened") {
  TempFolder folder;
  folder.write("a/x", "1");
  folder.write("file", "1");
  Volume two[] = {{folder.at("a"), kj::str("/one"), true},
                  {folder.at("a"), kj::str("/two"), false}};
  KJ_EXPECT(open(two, nullptr) == "/one rw, /two ro");
  two[1].guest = kj::str("/one");
  KJ_EXPECT(open(two, nullptr) ==
            kj::str("the volume ", folder.at("a"), ": /one in the cell is named twice"));
  Volume gone[] = {{folder.at("gone"), kj::str("/x"), false}};
  KJ_EXPECT(open(gone, nullptr).endsWith(
      "gone: cannot be opened as a folder (No such file or directory)"));
  Volume file[] = {{folder.at("file"), kj::str("/x"), false}};
  KJ_EXPECT(open(file, nullptr).endsWith("cannot be opened as a folder (Not a directory)"));
}

KJ_TEST("what the node keeps to itself is refused, by whichever way it is reached") {
  TempFolder folder;
  folder.write("home/ww/code/x", "1");
  folder.write("home/ww-data/x", "1");
  folder.write("home/keys/allowed", "1");
  folder.write("other/x", "1");
  auto data = folder.at("home/ww"), keys = folder.at("home/keys/allowed");
  kj::StringPtr kept[] = {data, keys};
  auto refusal = [&](kj::StringPtr host) {
    Volume volume[] = {{kj::str(host), kj::str("/x"), false}};
    return open(volume, kept);
  };
  constexpr auto HOLDS = ": the node keeps something to itself in it: "_kj;
  constexpr auto WITHIN = ": it is within what the node keeps to itself: "_kj;
  for (auto above: {"home/ww", "home", "", "home/ww/", "other/../home"}) {
    auto host = folder.at(above);
    KJ_EXPECT(refusal(host) == kj::str("the volume ", host, HOLDS, data), host);
  }
  KJ_EXPECT(refusal("/") == kj::str("the volume /", HOLDS, data));
  auto code = folder.at("home/ww/code"), keyFolder = folder.at("home/keys");
  KJ_EXPECT(refusal(code) == kj::str("the volume ", code, WITHIN, data));
  KJ_EXPECT(refusal(keyFolder) == kj::str("the volume ", keyFolder, HOLDS, keys));
  KJ_EXPECT(refusal(folder.at("home/ww-data")) == "/x ro");
  KJ_EXPECT(refusal(folder.at("other")) == "/x ro");
  // By links to it, or above it, and where what is kept is itself named by a link.
  auto link = folder.at("link"), into = folder.at("into"), far = folder.at("far");
  KJ_SYSCALL(symlink("home/ww", link.cStr()));
  KJ_SYSCALL(symlink("home/ww/code", into.cStr()));
  KJ_SYSCALL(symlink(folder.at("home").cStr(), far.cStr()));
  KJ_EXPECT(refusal(link) == kj::str("the volume ", link, HOLDS, data));
  KJ_EXPECT(refusal(into) == kj::str("the volume ", into, WITHIN, data));
  KJ_EXPECT(refusal(far) == kj::str("the volume ", far, HOLDS, data));
  kept[0] = link;
  KJ_EXPECT(refusal(data) == kj::str("the volume ", data, HOLDS, link));
  KJ_EXPECT(refusal(code) == kj::str("the volume ", code, WITHIN, link));
}

KJ_TEST("what is kept in a file is kept with the folder that it will be in") {
  TempFolder folder;
  folder.write("a/b/x", "1");
  auto kept = folder.at("a/b/not-yet");
  kj::StringPtr paths[] = {kept};
  Volume volume[] = {{folder.at("a/b"), kj::str("/x"), false}};
  KJ_EXPECT(open(volume, paths).endsWith(kept));
  folder.write("c/keys", "1");
  KJ_SYSCALL(symlink("../../c/keys", kept.cStr()));
  KJ_EXPECT(open(volume, paths).endsWith(kept));
  volume[0].host = folder.at("c");
  KJ_EXPECT(open(volume, paths).endsWith(kept));
}

KJ_TEST("each folder that holds a link on the way to what is kept is kept, too") {
  TempFolder folder;
  folder.write("one/sub/x", "1");
  folder.write("two/x", "1");
  folder.write("three/keys", "1");
  auto first = folder.at("one/keys"), second = folder.at("two/keys");
  KJ_SYSCALL(symlink(second.cStr(), first.cStr()));
  KJ_SYSCALL(symlink("../three/keys", second.cStr()));
  kj::StringPtr paths[] = {first};
  auto refusal = [&](kj::StringPtr host) {
    Volume volume[] = {{folder.at(host), kj::str("/x"), true}};
    return open(volume, paths);
  };
  for (auto each: {"one", "two", "three"}) {
    KJ_EXPECT(refusal(each).endsWith(kj::str("keeps something to itself in it: ", first)), each);
  }
  KJ_EXPECT(refusal("one/sub") == "/x rw");
  auto loop = folder.at("loop");
  KJ_SYSCALL(symlink("loop", loop.cStr()));
  paths[0] = loop;
  KJ_EXPECT(refusal("one") == "/x rw");
}

// A namespace of its own for this process, if it may have one.
bool mayMount() {
  if (unshare(CLONE_NEWNS) < 0) return false;
  return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

KJ_TEST("what is kept is kept by its mounts, too") {
  if (!mayMount()) {
    KJ_LOG(WARNING, "SKIPPED: this process may not mount");
    return;
  }
  TempFolder folder;
  folder.write("data/code/x", "1");
  for (auto each: {"up/b", "alone", "far/b", "other"}) folder.write(kj::str(each, "/x"), "1");
  auto data = folder.at("data"), code = folder.at("data/code");
  auto bind = [&](kj::StringPtr what, kj::StringPtr where) {
    KJ_SYSCALL(mount(what.cStr(), folder.at(where).cStr(), nullptr, MS_BIND, nullptr), where);
  };
  bind(data, "up/b");
  bind(code, "alone");
  bind(code, "far/b");
  KJ_DEFER(for (auto each: {"up/b", "alone", "far/b"}) {
    umount2(folder.at(each).cStr(), MNT_DETACH);
  });
  kj::StringPtr kept[] = {data};
  auto isRefused = [&](kj::StringPtr host) {
    Volume volume[] = {{folder.at(host), kj::str("/x"), false}};
    auto said = open(volume, kept);
    if (said == "/x ro") return false;
    KJ_EXPECT(said.endsWith(kj::str("to itself in it: ", data)) ||
              said.endsWith(kj::str("the node keeps to itself: ", data)), said);
    return true;
  };
  for (auto each: {"up", "up/b", "alone", "far", "far/b"}) KJ_EXPECT(isRefused(each), each);
  KJ_EXPECT(!isRefused("other"));
}

KJ_TEST("the kernel's table of mounts is read as it is written") {
  TempFolder folder;
  folder.write("a b/x", "1");
  int fd;
  KJ_SYSCALL(fd = ::open(folder.at("").cStr(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  kj::AutoCloseFd opened(fd);
  char real[PATH_MAX];
  KJ_ASSERT(realpath(folder.at("").cStr(), real) != nullptr);
  Mounts mounts(kj::str("30 1 8:1 /in\\040side ", real, "/a\\040b rw shared:1 - ext4 /dev/a rw\n"
                        "31 1 8:2 / ", real, "-not-below rw - ext4 /dev/b rw\n",
                        "nonsense\n\n32 1\n"));
  auto within = mounts.within(opened);
  KJ_ASSERT(within.size() == 1);
  KJ_EXPECT(within[0].device == "8:1" && within[0].path == "/in side");
  KJ_EXPECT(mounts.placeOf(opened) == nullptr);
  auto name = kj::StringPtr(real);
  auto place = KJ_ASSERT_NONNULL(Mounts::read().placeOf(opened));
  KJ_EXPECT(place.path.endsWith(name.slice(KJ_ASSERT_NONNULL(name.findLast('/')))), place.path);
  auto holds = [](kj::StringPtr outer, kj::StringPtr inner) {
    return FilePlace{kj::str("8:1"), kj::str(outer)}.holds({kj::str("8:1"), kj::str(inner)});
  };
  KJ_EXPECT(holds("/a", "/a") && holds("/a", "/a/b") && holds("/", "/a") && holds("/", "/"));
  KJ_EXPECT(!holds("/a", "/ab") && !holds("/a/b", "/a"));
  FilePlace elsewhere = {kj::str("8:2"), kj::str("/")};
  KJ_EXPECT(!elsewhere.holds({kj::str("8:1"), kj::str("/a")}));
}

}  // namespace
}  // namespace ww
