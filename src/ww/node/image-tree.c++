#include <ww/node/image-tree.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/encoding.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/image/breath.h>
#include <ww/image/name.h>

namespace ww {
namespace {

constexpr kj::StringPtr WHITEOUT = ".wh."_kj;           // and the name that is hidden
constexpr kj::StringPtr OPAQUE = ".wh..wh..opq"_kj;
constexpr kj::StringPtr RESERVED = ".wh..wh."_kj;

// Who owns the data folder can remove it all, and change no file by mistake.
constexpr mode_t FILE_MODE = 0444, PROGRAM_MODE = 0555, FOLDER_MODE = 0700;

std::string keyOf(kj::StringPtr path) { return std::string(path.begin(), path.size()); }
kj::StringPtr textOf(const std::string& path) { return kj::StringPtr(path.data(), path.size()); }

TreeLimits forDisk(TreeLimits limits) {
  limits.pathBytes = kj::min(limits.pathBytes, size_t(PATH_MAX - 1));  // with what ends it
  return limits;
}

// As a hash takes it: no two different numbers, or texts with their length, look the same.
std::array<kj::byte, 8> bytesOf(uint64_t number) {
  std::array<kj::byte, 8> result;
  for (size_t i = 0; i < 8; i++) result[i] = kj::byte(number >> (8 * i));
  return result;
}

template <size_t n>
kj::ArrayPtr<const kj::byte> ptr(const std::array<kj::byte, n>& bytes) {
  return kj::arrayPtr(bytes.data(), n);
}

}  // namespace

kj::Exception layerProblem(kj::StringPtr layer, kj::StringPtr path, kj::StringPtr what) {
  auto where = path.size() == 0 ? kj::str(layer) : kj::str(layer, ": ", escapeText(path));
  return noImage(kj::str(where, ": ", what));
}

kj::Exception noImage(kj::StringPtr why) { return badInput(kj::str(NOT_AN_IMAGE, why)); }

bool isNoImage(const kj::Exception& exception) {
  return exception.getDescription().startsWith(NOT_AN_IMAGE);
}

kj::Maybe<kj::String> findPathProblem(kj::StringPtr path, const TreeLimits& limits) {
  if (path.startsWith("/")) return kj::str("a path that leaves the tree (it is absolute)");
  if (path.size() > limits.pathBytes) {
    return kj::str("a path of ", path.size(), " bytes; the limit is ", limits.pathBytes);
  }
  kj::uint depth = 0;
  for (size_t begin = 0; begin <= path.size();) {
    auto end = begin + path.slice(begin).findFirst('/').orDefault(path.size() - begin);
    KJ_IF_MAYBE(problem, findNameProblem(path.slice(begin, end))) return kj::str(*problem);
    begin = end + 1;
    if (++depth > limits.depth) {
      return kj::str("deeper than ", limits.depth, " folders");
    }
  }
  return nullptr;
}

ImageTree::ImageTree(TreeFolder& folder, TreeLimits given)
    : folder(folder), limits(forDisk(given)), part(folder.newPart()), root(folder.open(part)) {}

ImageTree::~ImageTree() noexcept(false) {
  if (root != nullptr) folder.remove(part);
}

void ImageTree::beginLayer(kj::StringPtr name) {
  KJ_REQUIRE(current.empty());
  layers.add(kj::str(name));
  whiteouts.clear();
}

void ImageTree::refuse(kj::StringPtr path, kj::StringPtr what) const {
  kj::throwFatalException(layerProblem(layers.back(), path, what));
}

void ImageTree::failToWrite(kj::StringPtr path) const {
  auto why = errno;
  bool isFull = why == ENOSPC || why == EDQUOT || why == EFBIG;
  kj::throwFatalException(badInput(kj::str(
      folder.getPath(), ": '", escapeText(path), "' of the image cannot be written in it (",
      strerror(why), ")", isFull ? "; make room on that disk, or take another data folder" : "")));
}

kj::Maybe<ImageTree::Entry&> ImageTree::find(kj::StringPtr path) {
  auto found = entries.find(keyOf(path));
  if (found == entries.end()) return nullptr;
  return found->second;
}

// Where this layer may have something of its own under this path; what an earlier one has there
// goes, unless both are folders.
void ImageTree::takePlace(kj::StringPtr path, bool isDirectory) {
  KJ_REQUIRE(layers.size() > 0 && current.empty());
  KJ_IF_MAYBE(problem, findPathProblem(path, limits)) refuse(path, *problem);
  if (++steps > limits.entries) {
    refuse(path, kj::str("more than ", limits.entries, " files and folders"));
  }
  if ((pathBytes += path.size()) > limits.allPathBytes) {
    refuse(path, kj::str("with this all paths have more than ", limits.allPathBytes,
                         " bytes, which is the limit"));
  }
  auto parent = kj::str(parentOf(path));
  if (parent.size() > 0) {
    bool isThere = find(parent).map([this](Entry& above) {
      return above.isDirectory && isOfThisLayer(above);
    }).orDefault(false);
    if (!isThere) refuse(path, "its folder was not named before it");
  }
  if (nameIn(path).startsWith(WHITEOUT)) {
    if (!whiteouts.insert(keyOf(path)).second) refuse(path, "named twice");
    return;
  }
  KJ_IF_MAYBE(entry, find(path)) {
    if (isOfThisLayer(*entry)) refuse(path, "named twice");
    if (!entry->isDirectory || !isDirectory) hide(keyOf(path));
  }
}

void ImageTree::directory(kj::StringPtr path) {
  takePlace(path, true);
  if (nameIn(path).startsWith(WHITEOUT)) {
    refuse(path, "a folder; names that begin with .wh. are files, which hide others");
  }
  uint32_t layer = layers.size() - 1;
  KJ_IF_MAYBE(entry, find(path)) {
    entry->layer = layer;
    return;
  }
  if (mkdirat(root, path.cStr(), FOLDER_MODE) < 0) failToWrite(path);
  entries.emplace(keyOf(path), Entry{layer, true});
}

void ImageTree::beginFile(kj::StringPtr path, bool executable) {
  if (beginEntry(path, executable)) createFile(path);
}

void ImageTree::beginContent(kj::StringPtr path, bool executable, const Cid& cid,
                             uint64_t size) {
  if (!beginEntry(path, executable)) return;
  if (size >= LINKED_BYTES) {
    entries.find(current)->second.cid = kj::heap(cid.clone());
    linked = folder.link(cid, size, executable, root, path);
  }
  if (linked == nullptr) createFile(path);
}

// False for one that hides others, and is not in the tree itself.
bool ImageTree::beginEntry(kj::StringPtr path, bool executable) {
  takePlace(path, false);
  currentHides = nameIn(path).startsWith(WHITEOUT);
  if (currentHides) beginWhiteout(path, nameIn(path));
  uint32_t layer = layers.size() - 1;
  if (!currentHides) entries.emplace(keyOf(path), Entry{layer, false, executable});
  current = keyOf(path);
  return !currentHides;
}

void ImageTree::createFile(kj::StringPtr path) {
  constexpr int NEW = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(root, path.cStr(), NEW, 0600);
  if (fd < 0) failToWrite(path);
  file = kj::AutoCloseFd(fd);
}

void ImageTree::beginWhiteout(kj::StringPtr path, kj::StringPtr name) {
  auto hidden = name.slice(WHITEOUT.size());
  if (name == OPAQUE) return hideBelow(keyOf(kj::str(parentOf(path))));
  if (name.startsWith(RESERVED)) refuse(path, "a reserved name, of which nothing is known");
  KJ_IF_MAYBE(problem, findNameProblem(hidden)) {
    refuse(path, kj::str("hides what cannot be: ", *problem));
  }
  hide(keyOf(joinPath(kj::str(parentOf(path)), hidden)));
}

// What earlier layers have below it.
void ImageTree::hideBelow(const std::string& path) {
  auto prefix = path.empty() ? path : path + '/';
  auto at = entries.lower_bound(prefix);
  while (at != entries.end() && at->first.compare(0, prefix.size(), prefix) == 0) {
    at = isOfThisLayer(at->second) ? std::next(at) : erase(at);
  }
}

// And it itself.
void ImageTree::hide(const std::string& path) {
  auto entry = entries.find(path);
  if (entry == entries.end()) return;
  if (isOfThisLayer(entry->second)) return hideBelow(path);
  erase(entry);
}

// One of an earlier layer, with all that is in it: this layer has nothing in a folder that it has
// not named itself. Returns what stands behind it.
ImageTree::Entries::iterator ImageTree::erase(Entries::iterator entry) {
  auto path = entry->first;
  if (entry->second.isDirectory) {
    folder.removeFrom(root, textOf(path));
    entries.erase(entries.lower_bound(path + '/'), entries.lower_bound(path + char('/' + 1)));
  } else if (unlinkat(root, path.c_str(), 0) < 0) {
    failToWrite(textOf(path));
  }
  entries.erase(entry);
  return entries.upper_bound(path);
}

void ImageTree::piece(kj::ArrayPtr<const kj::byte> piece) {
  KJ_REQUIRE(!current.empty());
  bytes += piece.size();
  if (bytes > limits.bytes) {
    refuse(textOf(current), kj::str("with this all files hold more than ", limits.bytes,
                                    " bytes, which is the limit"));
  }
  if (currentHides) return;
  hash.add(piece);
  entries.find(current)->second.bytes += piece.size();
  if (linked != nullptr) return;
  for (auto rest = piece; rest.size() > 0;) {
    auto n = write(file, rest.begin(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) failToWrite(textOf(current));
    rest = rest.slice(n, rest.size());
  }
}

void ImageTree::endFile() {
  KJ_REQUIRE(!current.empty());
  if (!currentHides) {
    auto& entry = entries.find(current)->second;
    entry.hash = hash.take();
    KJ_IF_MAYBE(same, linked) {
      KJ_ASSERT(entry.hash == *same, "one content id, and two contents", current.c_str());
    } else if (fchmod(file, entry.executable ? PROGRAM_MODE : FILE_MODE) < 0) {
      failToWrite(textOf(current));
    }
    file = nullptr;
    linked = nullptr;
  }
  current.clear();
}

kj::Promise<void> ImageTree::requireNoCollision() const {
  Breath breath(Breath::NAMES);
  auto names = kj::heapArrayBuilder<FoldedName>(entries.size());
  for (auto& [path, entry]: entries) {
    names.add(FoldedName(textOf(path)));
    KJ_IF_MAYBE(rest, breath.after()) co_await *rest;
  }
  co_await sortWithBreaths(names.asPtr());
  for (size_t i = 1; i < names.size(); i++) {
    if (names[i].folded != names[i - 1].folded) continue;
    auto one = kj::min(names[i].name, names[i - 1].name);
    auto other = kj::max(names[i].name, names[i - 1].name);
    auto layerOf = [this](kj::StringPtr path) -> kj::StringPtr {
      return layers[entries.find(keyOf(path))->second.layer];
    };
    kj::throwFatalException(layerProblem(layerOf(other), other,
        kj::str("differs in case alone from ", escapeText(one), " of ", layerOf(one))));
  }
}

// From all paths and what they lead to, and how much that is.
kj::Promise<kj::String> ImageTree::takeName() {
  Breath breath(Breath::NAMES);
  uint64_t total = 0;
  for (auto& [path, entry]: entries) {
    hash.add(ptr(bytesOf(path.size())));
    hash.add(textOf(path).asBytes());
    hash.add(ptr(bytesOf(entry.isDirectory ? 2 : entry.executable ? 1 : 0)));
    hash.add(ptr(bytesOf(entry.bytes)));
    hash.add(ptr(entry.hash));
    total += entry.bytes;
    KJ_IF_MAYBE(rest, breath.after()) co_await *rest;
  }
  auto name = hash.take();
  co_return kj::str(kj::encodeHex(ptr(name)), '.', total);
}

kj::Promise<TreeContents> ImageTree::takeContents() {
  Breath breath(Breath::NAMES);
  TreeContents contents;
  for (auto& [path, entry]: entries) {
    KJ_IF_MAYBE(cid, entry.cid) {
      contents.upsert(kj::mv(**cid),
                      TreeFile{kj::str(textOf(path)), entry.bytes, entry.executable, entry.hash},
                      [](TreeFile&, TreeFile&&) {});
    }
    KJ_IF_MAYBE(rest, breath.after()) co_await *rest;
  }
  co_return kj::mv(contents);
}

kj::Promise<kj::Own<MergedTree>> ImageTree::finish() {
  KJ_REQUIRE(current.empty());
  co_await requireNoCollision();
  auto name = co_await takeName();
  auto contents = co_await takeContents();
  kj::AutoCloseFd tree;
  if (folder.isInUse(name)) {
    tree = folder.open(name);
    folder.remove(part);
    root = nullptr;
  } else {
    folder.put(part, name);
    tree = kj::mv(root);
  }
  co_return kj::refcounted<MergedTree>(folder, kj::mv(name), kj::mv(tree),
                                       kj::strArray(layers, " "), kj::mv(contents));
}

}  // namespace ww
