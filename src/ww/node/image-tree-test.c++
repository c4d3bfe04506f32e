#include <ww/node/image-tree.h>

#include <kj/test.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/image/breath.h>
#include <ww/node/host-layer.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

struct Place {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  TempFolder temp;
  TreeFolder trees{temp.at("trees")};

  // What is there, once what is to go is gone.
  kj::Array<kj::String> list() {
    trees.waitUntilRemoved();
    return temp.list("trees");
  }
};

// `path=content`, or `path/` for a folder: one layer.
using Layer = std::initializer_list<kj::StringPtr>;

void put(ImageTree& tree, kj::StringPtr name, Layer layer) {
  tree.beginLayer(name);
  for (auto entry: layer) {
    if (entry.endsWith("/")) {
      tree.directory(kj::str(entry.slice(0, entry.size() - 1)));
      continue;
    }
    auto equals = entry.findFirst('=').orDefault(entry.size());
    tree.beginFile(kj::str(entry.slice(0, equals)), false);
    if (equals < entry.size()) tree.piece(entry.slice(equals + 1).asBytes());
    tree.endFile();
  }
}

kj::Own<MergedTree> merge(Place& place, std::initializer_list<Layer> layers,
                          TreeLimits limits = TreeLimits()) {
  auto tree = place.trees.begin(limits);
  char name[] = "a";
  for (auto& layer: layers) {
    put(*tree, name, layer);
    ++*name;
  }
  return tree->finish().wait(place.waitScope);
}

void listInto(const kj::ReadableDirectory& folder, kj::StringPtr path,
              kj::Vector<kj::String>& out) {
  for (auto& [type, name]: folder.listEntries()) {
    auto inner = kj::str(path, name);
    if (type == kj::FsNode::Type::DIRECTORY) {
      out.add(kj::str(inner, "/"));
      listInto(*folder.openSubdir(kj::Path(kj::str(name))), kj::str(inner, "/"), out);
    } else {
      out.add(kj::str(inner, "=", folder.openFile(kj::Path(kj::str(name)))->readAllText()));
    }
  }
}

// All that is in it, in the notation of put().
kj::String list(const MergedTree& tree) {
  auto folder = kj::newDiskReadableDirectory(kj::AutoCloseFd(dup(tree.getRoot())));
  kj::Vector<kj::String> lines;
  listInto(*folder, "", lines);
  return kj::strArray(lines, " ");
}

kj::String merged(std::initializer_list<Layer> layers) {
  Place place;
  return list(*merge(place, layers));
}

// Why it is none; what is left behind is nothing.
kj::String refusal(std::initializer_list<Layer> layers, TreeLimits limits = TreeLimits()) {
  Place place;
  kj::String reason;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() { merge(place, layers, limits); })) {
    KJ_EXPECT(isNoImage(*exception), *exception);
    reason = kj::str(exception->getDescription().slice("not an image: "_kj.size()));
  }
  KJ_EXPECT(place.list().size() == 0);
  return reason;
}

KJ_TEST("a later layer's file wins, and folders are merged") {
  KJ_EXPECT(merged({{"main.wasm=1", "etc/", "etc/a=1", "etc/b=1"},
                    {"etc/", "etc/b=2", "etc/c=2"}, {"main.wasm=3"}}) ==
            "etc/ etc/a=1 etc/b=2 etc/c=2 main.wasm=3");
  KJ_EXPECT(merged({{"x/", "x/y/", "x/y/z=1"}, {"x=file"}}) == "x=file");
  KJ_EXPECT(merged({{"x=file"}, {"x/", "x/y=1"}}) == "x/ x/y=1");
  KJ_EXPECT(merged({{}}) == "");
}

KJ_TEST("a whiteout hides what earlier layers have, and nothing of its own") {
  KJ_EXPECT(merged({{"a=1", "b=1"}, {".wh.a"}}) == "b=1");
  KJ_EXPECT(merged({{"d/", "d/e/", "d/e/f=1", "d0=1", "d.=1"}, {".wh.d"}}) == "d.=1 d0=1");
  KJ_EXPECT(merged({{"d/", "d/a=1", "d/b=1"}, {"d/", "d/.wh.a"}}) == "d/ d/b=1");
  // In whichever order its own layer names them.
  KJ_EXPECT(merged({{"a=1"}, {".wh.a", "a=2"}}) == "a=2");
  KJ_EXPECT(merged({{"a=1"}, {"a=2", ".wh.a"}}) == "a=2");
  KJ_EXPECT(merged({{"d/", "d/a=1"}, {"d/", "d/b=2", ".wh.d"}}) == "d/ d/b=2");
  KJ_EXPECT(merged({{"d/", "d/a=1"}, {".wh.d", "d/", "d/b=2"}}) == "d/ d/b=2");
  KJ_EXPECT(merged({{".wh.nothing", "a=1"}}) == "a=1");
  // What stands between a folder and what is in it stays.
  KJ_EXPECT(merged({{"x/", "x/d/", "x/d/e=1", "x/d-e=1", "x/d0=1"}, {"x/", "x/.wh.d"}}) ==
            "x/ x/d-e=1 x/d0=1");
  KJ_EXPECT(merged({{"a=1"}, {".wh.a"}, {"a=3"}}) == "a=3");
}

KJ_TEST("an opaque folder hides all that earlier layers have in it") {
  KJ_EXPECT(merged({{"d/", "d/a=1", "d/e/", "d/e/f=1", "x=1"},
                    {"d/", "d/b=2", "d/.wh..wh..opq"}}) == "d/ d/b=2 x=1");
  KJ_EXPECT(merged({{"d/", "d/e/", "d/e/f=1"}, {"d/", "d/.wh..wh..opq", "d/e/", "d/e/g=2"}}) ==
            "d/ d/e/ d/e/g=2");
  KJ_EXPECT(merged({{"a=1", "b/", "b/c=1"}, {".wh..wh..opq", "d=2"}}) == "d=2");
  KJ_EXPECT(merged({{"b/", "b-=1", "b/c/", "b/c/d=1", "b0=1", "e/", "e/f/", "e/f/g=1"},
                    {"e/", "e/f/", "e/f/h=2", ".wh..wh..opq"}}) == "e/ e/f/ e/f/h=2");
}

KJ_TEST("what is refused is named, with its layer") {
  KJ_EXPECT(refusal({{"x=1"}, {"../x=1"}}) == "b: ../x: the name . or .., which leads elsewhere");
  KJ_EXPECT(refusal({{"a/", "a/./b=1"}}) == "a: a/./b: the name . or .., which leads elsewhere");
  KJ_EXPECT(refusal({{"/etc=1"}}) == "a: /etc: a path that leaves the tree (it is absolute)");
  KJ_EXPECT(refusal({{"=1"}}) == "a: a name that is empty");
  KJ_EXPECT(refusal({{"a/", "a//b=1"}}) == "a: a//b: a name that is empty");
  KJ_EXPECT(refusal({{"a\xff""b=1"}}) == "a: a\\xffb: a name that is not UTF-8");
  KJ_EXPECT(refusal({{kj::StringPtr("a\0b=1", 5)}}).endsWith(": a name with NUL in it"));
  KJ_EXPECT(refusal({{kj::str(kj::repeat('n', 256), "=1")}})
                .endsWith("nnn: a name of more than 255 bytes"));
  KJ_EXPECT(refusal({{"a=1", "a=2"}}) == "a: a: named twice");
  KJ_EXPECT(refusal({{"a/", "a/"}}) == "a: a: named twice");
  KJ_EXPECT(refusal({{"a/", "a=1"}}) == "a: a: named twice");
  KJ_EXPECT(refusal({{".wh.a", ".wh.a"}}) == "a: .wh.a: named twice");
  KJ_EXPECT(refusal({{"a=1", "a/b=1"}}) == "a: a/b: its folder was not named before it");
  KJ_EXPECT(refusal({{"a/"}, {"a/b=1"}}) == "b: a/b: its folder was not named before it");
  KJ_EXPECT(refusal({{".wh.a/"}}).startsWith("a: .wh.a: a folder; names that begin with .wh."));
  KJ_EXPECT(refusal({{".wh..wh.plnk"}}).startsWith("a: .wh..wh.plnk: a reserved name"));
  KJ_EXPECT(refusal({{".wh."}}) == "a: .wh.: hides what cannot be: a name that is empty");
  KJ_EXPECT(refusal({{".wh..."}}) ==
            "a: .wh...: hides what cannot be: the name . or .., which leads elsewhere");
}

KJ_TEST("names that differ in case alone are refused, in whichever layers they are") {
  KJ_EXPECT(refusal({{"README=1", "readme=1"}}) ==
            "a: readme: differs in case alone from README of a");
  KJ_EXPECT(refusal({{"etc/", "etc/x=1"}, {"Etc/", "Etc/y=1"}}) ==
            "a: etc: differs in case alone from Etc of b");
  KJ_EXPECT(refusal({{"\xc3\x84=1", "\xc3\xa4=1"}}) ==  // A and a with two dots each
            "a: \xc3\xa4: differs in case alone from \xc3\x84 of a");
  KJ_EXPECT(merged({{"README=1"}, {".wh.README", "readme=2"}}) == "readme=2");
  KJ_EXPECT(merged({{"a/", "a/X=1", "b/", "b/x=1"}}) == "a/ a/X=1 b/ b/x=1");
}

KJ_TEST("the limits") {
  TreeLimits limits;
  limits.entries = 2;
  KJ_EXPECT(refusal({{"a=1"}, {".wh.a", "b=1"}}, limits) == "b: b: more than 2 files and folders");
  limits = TreeLimits();
  limits.bytes = 3;
  KJ_EXPECT(refusal({{"a=12"}, {"a=34"}}, limits) ==
            "b: a: with this all files hold more than 3 bytes, which is the limit");
  limits = TreeLimits();
  limits.depth = 2;
  KJ_EXPECT(refusal({{"a/", "a/b/", "a/b/c=1"}}, limits) == "a: a/b/c: deeper than 2 folders");
  limits.pathBytes = 4;
  KJ_EXPECT(refusal({{"a/", "a/bcd=1"}}, limits) == "a: a/bcd: a path of 5 bytes; the limit is 4");
  limits = TreeLimits();
  limits.allPathBytes = 4;
  KJ_EXPECT(refusal({{"ab=1"}, {".wh.ab", "cd=1"}}, limits) ==
            "b: .wh.ab: with this all paths have more than 4 bytes, which is the limit");
}

KJ_TEST("a tree's name is its content's, and nobody may change it") {
  Place place;
  auto one = merge(place, {{"etc/", "etc/a=1"}, {"b=2"}});
  auto same = merge(place, {{"b=2", "etc/", "etc/a=0"}, {"etc/", "etc/a=1"}});
  auto other = merge(place, {{"etc/", "etc/a=2"}, {"b=2"}});
  auto moved = merge(place, {{"etc/", "b=2", "etc/b=1"}});
  KJ_EXPECT(one->getName() == same->getName());
  KJ_EXPECT(one->getName() != other->getName());
  KJ_EXPECT(one->getName() != moved->getName());
  KJ_EXPECT(place.list().size() == 3);
  auto at = kj::str("trees/", one->getName());
  KJ_EXPECT(place.temp.mode(at) == 0700);
  KJ_EXPECT(place.temp.mode(kj::str(at, "/etc")) == 0700);
  KJ_EXPECT(place.temp.mode(kj::str(at, "/etc/a")) == 0444);
}

KJ_TEST("a tree goes with its last user, and is shared until then") {
  Place place;
  auto one = merge(place, {{"a=1"}});
  auto same = merge(place, {{"a=1"}});
  auto left = place.list();
  KJ_ASSERT(left.size() == 1 && left[0] == one->getName(), left);
  one = nullptr;
  KJ_EXPECT(place.list().size() == 1);
  KJ_EXPECT(list(*same) == "a=1");
  same = nullptr;
  KJ_EXPECT(place.list().size() == 0);
  // The name is free at once.
  one = merge(place, {{"a=1"}});
  KJ_EXPECT(list(*one) == "a=1");
}

KJ_TEST("what another process left is not believed, and goes") {
  kj::String name;
  {
    Place place;
    name = kj::str(merge(place, {{"a=123"}})->getName());
  }
  TempFolder temp;
  temp.write("trees/.part-1/a/b", "half");
  // As large as it should be, of other bytes; and a file more.
  temp.write(kj::str("trees/", name, "/a"), "321");
  temp.write(kj::str("trees/", name, "/b"), "");
  KJ_SYSCALL(chmod(temp.at("trees").cStr(), 0700));
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  TreeFolder trees(temp.at("trees"));
  auto merging = trees.begin();
  put(*merging, "a", {"a=123"});
  auto tree = merging->finish().wait(waitScope);
  KJ_EXPECT(tree->getName() == name);
  KJ_EXPECT(list(*tree) == "a=123");
  trees.waitUntilRemoved();
  auto left = temp.list("trees");
  KJ_ASSERT(left.size() == 1 && left[0] == name, left);
}

KJ_TEST("a merge that is dropped leaves nothing") {
  Place place;
  {
    auto tree = place.trees.begin();
    put(*tree, "a", {"x/", "x/y=1"});
    KJ_EXPECT(place.list().size() == 1);
  }
  KJ_EXPECT(place.list().size() == 0);
}

KJ_TEST("at its end a folder removes what is little") {
  TempFolder temp;
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  auto left = [&](kj::uint files) {
    kj::Own<MergedTree> tree;
    auto trees = kj::heap<TreeFolder>(temp.at("trees"));
    auto merging = trees->begin();
    merging->beginLayer("a");
    for (auto i: kj::zeroTo(files)) {
      merging->beginFile(kj::str(i), false);
      merging->endFile();
    }
    tree = merging->finish().wait(waitScope);
    merging = nullptr;
    trees->waitUntilRemoved();
    tree = nullptr;
    trees = nullptr;
    return temp.list("trees").size();
  };
  KJ_EXPECT(left(10) == 0);
  KJ_EXPECT(left(3000) == 0);
}

KJ_TEST("to name a large tree lets others of its loop be served meanwhile") {
  Place place;
  auto tree = place.trees.begin();
  tree->beginLayer("a");
  constexpr kj::uint FILES = 20000;
  for (auto i: kj::zeroTo(FILES)) {
    tree->beginFile(kj::str(i), false);
    tree->endFile();
  }
  kj::uint looks = 0;
  kj::Function<kj::Promise<void>()> look = [&]() -> kj::Promise<void> {
    return kj::getCurrentThreadExecutor().executeAsync([&]() { ++looks; }).then(
        [&]() { return look(); });
  };
  auto looking = look().eagerlyEvaluate(nullptr);
  tree->finish().wait(place.waitScope);
  KJ_EXPECT(looks >= 4 * (FILES / Breath::NAMES) / 2, looks);
}

// A disk is as good as full where no file may be larger than this.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    KJ_SYSCALL(getrlimit(RLIMIT_FSIZE, &before));
    rlimit now = {bytes, before.rlim_max};
    KJ_SYSCALL(setrlimit(RLIMIT_FSIZE, &now));
  }
  ~FileSizeLimit() noexcept(false) { KJ_SYSCALL(setrlimit(RLIMIT_FSIZE, &before)); }

 private:
  rlimit before;
};

KJ_TEST("a disk that is full is named, nothing is left on it, and with room it is well") {
  Place place;
  auto large = kj::str("lib/x=", kj::repeat('x', 10000));
  {
    FileSizeLimit limit(1000);
    KJ_EXPECT_THROW_MESSAGE(
        kj::str(place.temp.at("trees"), ": 'lib/x' of the image cannot be written in it (File too "
                "large); make room on that disk, or take another data folder"),
        merge(place, {{"a=1", "lib/", large}}));
    KJ_EXPECT(place.list().size() == 0);
  }
  auto tree = merge(place, {{"a=1", "lib/", large}});
  KJ_EXPECT(list(*tree) == kj::str("a=1 lib/ ", large));
}

KJ_TEST("main.wasm, or bin/main.wasm") {
  Place place;
  auto main = [&](std::initializer_list<Layer> layers) {
    auto read = merge(place, layers)->readMain();
    KJ_IF_MAYBE(none, read.tryGet<NoImage>()) return kj::mv(none->problem);
    return kj::str(read.get<kj::Array<kj::byte>>().asChars());
  };
  KJ_EXPECT(main({{"bin/", "bin/main.wasm=bin", "main.wasm=root"}}) == "root");
  KJ_EXPECT(main({{"bin/", "bin/main.wasm=bin"}}) == "bin");
  KJ_EXPECT(main({{"a=1"}, {"lib/", "lib/main.wasm=lib"}}) ==
            "a b: no image: it has neither main.wasm nor bin/main.wasm");
  KJ_EXPECT(main({{"main.wasm/"}}) == "a: main.wasm: not a plain file");
}

KJ_TEST("a main.wasm that cannot be opened is not said to be missing") {
  Place place;
  auto tree = merge(place, {{"main.wasm=root", "bin/", "bin/main.wasm=bin"}});
  rlimit before;
  KJ_SYSCALL(getrlimit(RLIMIT_NOFILE, &before));
  rlimit none = {0, before.rlim_max};
  KJ_SYSCALL(setrlimit(RLIMIT_NOFILE, &none));
  KJ_DEFER(KJ_SYSCALL(setrlimit(RLIMIT_NOFILE, &before)));
  KJ_EXPECT_THROW_MESSAGE("main.wasm: cannot be read (Too many open files)", tree->readMain());
}

}  // namespace
}  // namespace ww
