#include <ww/node/volume.h>

#include <kj/test.h>
#include <sys/stat.h>
#include <unistd.h>
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
  KJ_EXPECT(parse("/srv:data").startsWith("/srv:data: the path in the cell is not absolute; "));
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

}  // namespace
}  // namespace ww
