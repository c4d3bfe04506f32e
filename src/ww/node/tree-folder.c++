#include <ww/node/tree-folder.h>

#include <algorithm>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/vector.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/node/directory-store.h>
#include <ww/node/image-tree.h>

namespace ww {
namespace {

constexpr kj::StringPtr PART_PREFIX = ".part-"_kj;  // no tree's name begins with a dot

constexpr int OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

[[noreturn]] void failErrno(kj::StringPtr path, kj::StringPtr doing) {
  kj::throwFatalException(badInput(kj::str(path, ": ", doing, ": ", strerror(errno))));
}

kj::Vector<kj::String> listNames(int folder) {
  kj::Vector<kj::String> names;
  int copy = openat(folder, ".", OPEN_FOLDER);
  DIR* dir = copy < 0 ? nullptr : fdopendir(copy);
  if (dir == nullptr) {
    if (copy >= 0) close(copy);
    return names;
  }
  KJ_DEFER(closedir(dir));
  while (auto entry = readdir(dir)) {
    kj::StringPtr name = entry->d_name;
    if (name != "." && name != "..") names.add(kj::str(name));
  }
  return names;
}

// Whatever cannot be removed stays. As deep as a tree may be.
void removeAll(int folder, kj::StringPtr name) {
  if (unlinkat(folder, name.cStr(), 0) == 0) return;
  int fd = openat(folder, name.cStr(), OPEN_FOLDER);
  if (fd >= 0) {
    kj::AutoCloseFd inner(fd);
    for (auto& each: listNames(inner)) removeAll(inner, each);
  }
  unlinkat(folder, name.cStr(), AT_REMOVEDIR);
}

// It stands in a tree's name, behind the point.
uint64_t bytesOf(kj::StringPtr name) {
  KJ_IF_MAYBE(point, name.findFirst('.')) {
    return kj::str(name.slice(*point + 1)).tryParseAs<uint64_t>().orDefault(0);
  }
  return 0;
}

}  // namespace

TreeFolder::TreeFolder(kj::StringPtr path, Bounds bounds, const kj::Clock& clock)
    : path(kj::str(path)), bounds(bounds), clock(clock), folder(openPrivateFolder(path)) {
  for (auto& name: listNames(folder)) {
    if (name.startsWith(PART_PREFIX)) removeAll(folder, name);
  }
}

TreeFolder::~TreeFolder() noexcept(false) {}

kj::Own<ImageTree> TreeFolder::begin(TreeLimits limits) {
  return kj::heap<ImageTree>(*this, limits);
}

kj::String TreeFolder::newPart() {
  uint64_t number;
  KJ_SYSCALL(getrandom(&number, sizeof(number), 0));
  auto name = kj::str(PART_PREFIX, kj::hex(number));
  if (mkdirat(folder, name.cStr(), 0700) < 0) failErrno(path, "cannot make a folder in it");
  return name;
}

kj::AutoCloseFd TreeFolder::open(kj::StringPtr name) const {
  int fd = openat(folder, name.cStr(), OPEN_FOLDER);
  if (fd < 0) failErrno(path, kj::str("cannot open ", name));
  return kj::AutoCloseFd(fd);
}

kj::Maybe<kj::AutoCloseFd> TreeFolder::findTree(kj::StringPtr name,
                                                kj::FunctionParam<bool(int)> isWhole) {
  int fd = openat(folder, name.cStr(), OPEN_FOLDER);
  if (fd < 0) return nullptr;
  kj::AutoCloseFd tree(fd);
  if (isWhole(tree)) {
    futimens(tree, nullptr);  // used just now; failing to say so is harmless
    return kj::mv(tree);
  }
  remove(name);
  return nullptr;
}

void TreeFolder::put(kj::StringPtr part, kj::StringPtr name) {
  if (renameat(folder, part.cStr(), folder, name.cStr()) < 0) {
    failErrno(path, kj::str("cannot put ", name, " in its place"));
  }
}

// By way of a part's name, so that what is left of it is not taken for a tree.
void TreeFolder::remove(kj::StringPtr name) noexcept {
  auto part = kj::str(PART_PREFIX, "gone-", name);
  bool isPart = name.startsWith(PART_PREFIX);
  if (!isPart && renameat(folder, name.cStr(), folder, part.cStr()) < 0) return;
  removeAll(folder, isPart ? name : part.asPtr());
}

void TreeFolder::prune() {
  struct Unused {
    kj::String name;
    kj::Date used;
  };
  kj::Vector<Unused> unused;
  uint64_t total = 0;
  for (auto& name: listNames(folder)) {
    struct stat info;
    if (name.startsWith(".") || fstatat(folder, name.cStr(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
      continue;
    }
    total += bytesOf(name);
    if (inUse.find(name) != nullptr) continue;
    auto used = kj::UNIX_EPOCH + int64_t(info.st_mtim.tv_sec) * kj::SECONDS +
                int64_t(info.st_mtim.tv_nsec) * kj::NANOSECONDS;
    unused.add(Unused{kj::mv(name), used});
  }
  std::sort(unused.begin(), unused.end(),
            [](const Unused& a, const Unused& b) { return a.used < b.used; });
  for (auto& tree: unused) {
    if (total <= bounds.bytes && clock.now() - tree.used <= bounds.age) break;
    remove(tree.name);
    total -= bytesOf(tree.name);
  }
}

MergedTree::MergedTree(TreeFolder& folder, kj::String treeName, kj::AutoCloseFd root,
                       kj::String layers)
    : folder(folder), name(kj::mv(treeName)), root(kj::mv(root)), layers(kj::mv(layers)) {
  folder.inUse.findOrCreate(name, [&]() {
    return kj::HashMap<kj::String, kj::uint>::Entry{kj::str(name), 0};
  })++;
}

MergedTree::~MergedTree() noexcept(false) {
  auto& uses = KJ_ASSERT_NONNULL(folder.inUse.find(name));
  if (--uses == 0) folder.inUse.erase(name);
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
  }
  return NoImage{kj::str(layers, ": no image: it has neither ", MAIN_PLACES[0], " nor ",
                         MAIN_PLACES[1])};
}

}  // namespace ww
