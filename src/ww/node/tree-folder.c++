#include <ww/node/tree-folder.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/node/directory-store.h>
#include <ww/node/folder-remover.h>
#include <ww/node/image-tree.h>

namespace ww {
namespace {

constexpr kj::StringPtr PART_PREFIX = ".part-"_kj;  // no tree's name begins with a dot

constexpr int OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

[[noreturn]] void failErrno(kj::StringPtr path, kj::StringPtr doing) {
  kj::throwFatalException(badInput(kj::str(path, ": ", doing, " (", strerror(errno), ")")));
}

kj::String newPartName() {
  uint64_t number;
  KJ_SYSCALL(getrandom(&number, sizeof(number), 0));
  return kj::str(PART_PREFIX, kj::hex(number));
}

}  // namespace

TreeFolder::TreeFolder(kj::StringPtr path)
    : path(kj::str(path)), folder(openPrivateFolder(path)),
      remover(kj::heap<FolderRemover>(folder)) {
  kj::Vector<kj::String> names;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { names = listNames(folder); })) {
    kj::throwFatalException(badInput(kj::str(path, ": cannot be read (", systemReason(*e), ")")));
  }
  for (auto& name: names) remover->removeLeftover(setAside(name));
}

TreeFolder::~TreeFolder() noexcept(false) {}

kj::Own<ImageTree> TreeFolder::begin(TreeLimits limits) {
  return kj::heap<ImageTree>(*this, limits);
}

kj::String TreeFolder::newPart() {
  auto name = newPartName();
  if (mkdirat(folder, name.cStr(), 0700) < 0) failErrno(path, "cannot make a folder in it");
  return name;
}

kj::AutoCloseFd TreeFolder::open(kj::StringPtr name) const {
  int fd = openat(folder, name.cStr(), OPEN_FOLDER);
  if (fd < 0) failErrno(path, kj::str("cannot open ", name));
  return kj::AutoCloseFd(fd);
}

void TreeFolder::put(kj::StringPtr part, kj::StringPtr name) {
  if (renameat(folder, part.cStr(), folder, name.cStr()) < 0) {
    failErrno(path, kj::str("cannot put ", name, " in its place"));
  }
}

kj::Maybe<std::array<kj::byte, 32>> TreeFolder::link(const Cid& cid, uint64_t bytes,
                                                     bool executable, int part,
                                                     kj::StringPtr to) {
  for (auto& tree: inUse) {
    KJ_IF_MAYBE(file, tree.value.contents.find(cid)) {
      if (file->bytes != bytes || file->executable != executable) continue;
      auto from = kj::str(tree.key, '/', file->path);
      if (linkat(folder, from.cStr(), part, to.cStr(), 0) == 0) return file->hash;
    }
  }
  return nullptr;
}

void TreeFolder::remove(kj::StringPtr name) noexcept { remover->remove(setAside(name)); }

// Under a name that nothing else has, so that the tree's is free at once.
kj::String TreeFolder::setAside(kj::StringPtr name) {
  auto part = newPartName();
  bool isGone = renameat(folder, name.cStr(), folder, part.cStr()) == 0;
  return isGone ? kj::mv(part) : kj::str(name);
}

void TreeFolder::removeFrom(int tree, kj::StringPtr inner) {
  auto part = newPartName();
  if (renameat(tree, inner.cStr(), folder, part.cStr()) < 0) {
    failErrno(path, kj::str("'", escapeText(inner), "' of an image cannot be removed"));
  }
  remover->remove(kj::mv(part));
}

void TreeFolder::waitUntilRemoved() { remover->waitUntilRemoved(); }

MergedTree::MergedTree(TreeFolder& folder, kj::String treeName, kj::AutoCloseFd root,
                       kj::String layers, TreeContents contents)
    : folder(folder), name(kj::mv(treeName)), root(kj::mv(root)), layers(kj::mv(layers)) {
  auto& tree = folder.inUse.findOrCreate(name, [&]() {
    return kj::HashMap<kj::String, TreeFolder::InUse>::Entry{kj::str(name),
                                                            {0, kj::mv(contents)}};
  });
  ++tree.users;
}

MergedTree::~MergedTree() noexcept(false) {
  auto& tree = KJ_ASSERT_NONNULL(folder.inUse.find(name));
  if (--tree.users > 0) return;
  folder.inUse.erase(name);
  folder.remove(name);
}

kj::AutoCloseFd MergedTree::openRoot() const {
  int fd;
  KJ_SYSCALL(fd = openat(root, ".", OPEN_FOLDER));
  return kj::AutoCloseFd(fd);
}

kj::OneOf<kj::Array<kj::byte>, NoImage> MergedTree::readMain() const {
  for (auto place: MAIN_PLACES) {
    int fd = openat(root, place.cStr(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) return readComponent(kj::AutoCloseFd(fd), kj::str(layers, ": ", place));
    if (errno != ENOENT && errno != ENOTDIR) {
      failErrno(kj::str(folder.getPath(), "/", name, "/", place), "cannot be read");
    }
  }
  return NoImage{kj::str(layers, ": no image: it has neither ", MAIN_PLACES[0], " nor ",
                         MAIN_PLACES[1])};
}

}  // namespace ww
