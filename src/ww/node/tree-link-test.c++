// What two trees have in common is one file, and is as safe with each as if it were its own.
#include <ww/node/image-tree.h>

#include <kj/test.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

struct File {
  kj::StringPtr path;
  kj::StringPtr bytes;
  bool isContent = true;  // else of the host
  bool executable = false;
};
using Layer = std::initializer_list<File>;

void give(ImageTree& tree, const File& file) {
  if (file.isContent) {
    tree.beginContent(file.path, file.executable, Cid::of(Cid::RAW, file.bytes.asBytes()),
                      file.bytes.size());
  } else {
    tree.beginFile(file.path, file.executable);
  }
  // In two pieces.
  tree.piece(file.bytes.slice(0, file.bytes.size() / 2).asBytes());
  tree.piece(file.bytes.slice(file.bytes.size() / 2).asBytes());
  tree.endFile();
}

struct Place {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  TempFolder temp;
  TreeFolder trees{temp.at("trees")};

  kj::Own<MergedTree> merge(std::initializer_list<Layer> layers, TreeLimits limits = TreeLimits()) {
    return merge(trees, layers, limits);
  }
  kj::Own<MergedTree> merge(TreeFolder& trees, std::initializer_list<Layer> layers,
                            TreeLimits limits) {
    auto tree = trees.begin(limits);
    for (auto& layer: layers) {
      tree->beginLayer("a");
      for (auto& file: layer) give(*tree, file);
    }
    return tree->finish().wait(waitScope);
  }
  // A tree's name where nothing is linked.
  kj::String nameAlone(std::initializer_list<Layer> layers) {
    TempFolder alone;
    TreeFolder none(alone.at("trees"));
    return kj::str(merge(none, layers, TreeLimits())->getName());
  }
  kj::String pathOf(const MergedTree& tree, kj::StringPtr file) {
    return kj::str("trees/", tree.getName(), '/', file);
  }
  struct stat statOf(const MergedTree& tree, kj::StringPtr file) {
    struct stat info;
    KJ_SYSCALL(stat(temp.at(pathOf(tree, file)).cStr(), &info));
    return info;
  }
  bool isSame(const MergedTree& a, kj::StringPtr one, const MergedTree& b, kj::StringPtr other) {
    return statOf(a, one).st_ino == statOf(b, other).st_ino;
  }
  kj::String read(const MergedTree& tree, kj::StringPtr file) {
    return temp.read(pathOf(tree, file));
  }
};

const kj::String LARGE = kj::str(kj::repeat('x', LINKED_BYTES));
const kj::String OTHER = kj::str(kj::repeat('y', LINKED_BYTES));
const kj::String SMALL = kj::str(kj::repeat('x', LINKED_BYTES - 1));

KJ_TEST("content that a tree has is linked into the next, and each outlives the other") {
  Place place;
  Layer files = {{"etc", "2"}, {"lib", LARGE}, {"more", OTHER}};
  auto one = place.merge({{{"etc", "1"}, {"main", LARGE}}});
  auto two = place.merge({files});
  KJ_EXPECT(place.isSame(*one, "main", *two, "lib"));
  KJ_EXPECT(!place.isSame(*one, "etc", *two, "etc"));
  KJ_EXPECT(place.statOf(*two, "lib").st_nlink == 2 && place.statOf(*two, "more").st_nlink == 1);
  KJ_EXPECT((place.statOf(*two, "lib").st_mode & 07777) == 0444);
  KJ_EXPECT(place.read(*two, "lib") == LARGE && place.read(*two, "more") == OTHER);
  KJ_EXPECT(two->getName() == place.nameAlone({files}));
  one = nullptr;
  place.trees.waitUntilRemoved();
  KJ_EXPECT(place.statOf(*two, "lib").st_nlink == 1 && place.read(*two, "lib") == LARGE);
  // And goes on from there.
  auto three = place.merge({{{"again", LARGE}}});
  KJ_EXPECT(place.isSame(*two, "lib", *three, "again"));
  three = nullptr;
  place.trees.waitUntilRemoved();
  KJ_EXPECT(place.statOf(*two, "lib").st_nlink == 1 && place.read(*two, "lib") == LARGE);
}

KJ_TEST("what is another file, or small, or of the host, is written") {
  Place place;
  auto one = place.merge({{{"lib", LARGE}, {"small", SMALL}, {"host", OTHER, false}}});
  auto two = place.merge({{{"small", SMALL}, {"program", LARGE, true, true}, {"other", OTHER},
                           {"host", LARGE, false}}});
  for (auto name: {"small", "program", "other", "host"}) {
    KJ_EXPECT(place.statOf(*two, name).st_nlink == 1, name);
  }
  KJ_EXPECT((place.statOf(*two, "program").st_mode & 07777) == 0555);
  KJ_EXPECT(place.statOf(*one, "lib").st_nlink == 1);
}

KJ_TEST("a tree that is gone, and what is hidden in one, has nothing to link") {
  Place place;
  auto one = place.merge({{{"lib", LARGE}}});
  one = nullptr;
  auto hiding = place.merge({{{"lib", LARGE}, {"more", OTHER}}, {{".wh.lib", ""}, {"more", "1"}}});
  auto two = place.merge({{{"lib", LARGE}, {"more", OTHER}}});
  KJ_EXPECT(place.statOf(*two, "lib").st_nlink == 1 && place.statOf(*two, "more").st_nlink == 1);
  KJ_EXPECT(place.read(*two, "lib") == LARGE && place.read(*two, "more") == OTHER);
  KJ_EXPECT(place.read(*hiding, "more") == "1");
}

KJ_TEST("what is linked counts, and can be hidden, as if it were written") {
  Place place;
  auto one = place.merge({{{"lib", LARGE}}});
  TreeLimits limits;
  limits.bytes = LINKED_BYTES - 1;
  KJ_EXPECT_THROW_MESSAGE("which is the limit", place.merge({{{"lib", LARGE}}}, limits));
  auto two = place.merge({{{"lib", LARGE}, {"etc", LARGE}}, {{".wh.lib", ""}}});
  place.trees.waitUntilRemoved();
  KJ_EXPECT(place.isSame(*one, "lib", *two, "etc") && place.statOf(*one, "lib").st_nlink == 2);
  KJ_EXPECT(two->getName() == place.nameAlone({{{"etc", LARGE}}}));
}

KJ_TEST("what cannot be linked is written, and what is not what it is said to be is no tree") {
  Place place;
  auto one = place.merge({{{"lib", LARGE}}});
  auto bad = place.trees.begin();
  bad->beginLayer("a");
  bad->beginContent("lib", false, Cid::of(Cid::RAW, LARGE.asBytes()), LARGE.size());
  bad->piece(OTHER.asBytes());
  KJ_EXPECT_THROW_MESSAGE("one content id, and two contents", bad->endFile());
  KJ_SYSCALL(unlink(place.temp.at(place.pathOf(*one, "lib")).cStr()));
  auto two = place.merge({{{"bin", LARGE}}});
  KJ_EXPECT(place.statOf(*two, "bin").st_nlink == 1 && place.read(*two, "bin") == LARGE);
}

}  // namespace
}  // namespace ww
