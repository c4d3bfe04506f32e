#include <ww/image/importer.h>

#include <algorithm>
#include <stdio.h>
#include <string.h>
#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/ffi/content.h>
#include <ww/image/name.h>

namespace ww {
namespace {

constexpr kj::uint SHARD_BITS = 8, SHARD_FANOUT = 1 << SHARD_BITS;

// A link in a directory has no fewer bytes: tags, lengths, a content id, a name and a size.
constexpr size_t LEAST_LINK_BYTES = 45;

Cid putNode(BlockStore& store, const ffi::NodeParts& parts, uint64_t& bytes) {
  auto block = ffi::encodeNode(parts);
  auto cid = Cid::of(Cid::DAG_PB, block);
  store.put(cid, block);
  bytes = block.size();
  return cid;
}

}  // namespace

// An entry of a directory.
struct Importer::Made {
  kj::String name;
  Cid cid;
  uint64_t size;      // of all blocks under it
  uint64_t hash = 0;  // of its name, where that is asked for
};

struct Importer::Directory {
  kj::String path;
  kj::Vector<Made> entries;
};

// One file, as its pieces come.
class Importer::File {
 public:
  File(BlockStore& store, const ImportShape& shape, kj::String path)
      : store(store), shape(shape), path(kj::mv(path)) {}

  kj::StringPtr getPath() const { return path; }

  void add(kj::ArrayPtr<const kj::byte> bytes) {
    while (bytes.size() > 0) {
      if (filled == 0 && bytes.size() >= shape.chunkBytes) {
        addLeaf(bytes.slice(0, shape.chunkBytes));
        bytes = bytes.slice(shape.chunkBytes, bytes.size());
        continue;
      }
      if (chunk.size() == 0) chunk = kj::heapArray<kj::byte>(shape.chunkBytes);
      auto part = bytes.slice(0, kj::min(bytes.size(), shape.chunkBytes - filled));
      memcpy(chunk.begin() + filled, part.begin(), part.size());
      filled += part.size();
      bytes = bytes.slice(part.size(), bytes.size());
      if (filled == shape.chunkBytes) addChunk();
    }
  }

  Made finish() {
    if (filled > 0 || levels.empty()) addChunk();
    for (size_t i = 0;; i++) {
      bool isTop = i + 1 == levels.size() && levels[i].size() == 1;
      if (isTop) break;
      if (!levels[i].empty()) push(i + 1, makeNode(levels[i]));
    }
    auto& root = levels.back()[0];
    return Made { kj::heapString(nameIn(path)), kj::mv(root.cid), root.dagBytes };
  }

 private:
  struct Part {
    Cid cid;
    uint64_t fileBytes, dagBytes;
  };
  using Level = kj::Vector<Part>;

  void addChunk() {
    addLeaf(chunk.slice(0, filled));
    filled = 0;
  }

  void addLeaf(kj::ArrayPtr<const kj::byte> bytes) {
    auto cid = Cid::of(Cid::RAW, bytes);
    store.put(cid, bytes);
    push(0, Part { kj::mv(cid), bytes.size(), bytes.size() });
  }

  void push(size_t level, Part part) {
    if (level == levels.size()) levels.add();
    levels[level].add(kj::mv(part));
    if (levels[level].size() == shape.fileLinks) push(level + 1, makeNode(levels[level]));
  }

  // A node over all of a level, which is empty then.
  Part makeNode(Level& level) {
    auto links = KJ_MAP(part, level) {
      return ffi::Link { nullptr, part.cid.getBytes(), part.dagBytes };
    };
    auto sizes = KJ_MAP(part, level) { return part.fileBytes; };
    uint64_t fileBytes = 0, below = 0, block = 0;
    for (auto& part: level) {
      fileBytes += part.fileBytes;
      below += part.dagBytes;
    }
    ffi::NodeParts parts { .kind = ffi::NodeKind::FILE, .fileSize = fileBytes,
                           .blockSizes = sizes, .links = links };
    auto cid = putNode(store, parts, block);
    level.clear();
    return Part { kj::mv(cid), fileBytes, below + block };
  }

  BlockStore& store;
  const ImportShape& shape;
  kj::String path;
  kj::Array<kj::byte> chunk;  // what is not a leaf yet
  size_t filled = 0;
  kj::Vector<Level> levels;   // the leaves first; each waits for a node over it
};

Importer::Importer(BlockStore& store, ImportShape shape): store(store), shape(shape) {
  open.add(kj::heap<Directory>());
}

Importer::~Importer() noexcept(false) {}

void Importer::enter(kj::StringPtr path) {
  kj::StringPtr name = nameIn(path);
  auto parent = parentOf(path);
  while (open.size() > 1 && open.back()->path.asArray() != parent) closeDirectory();
  if (open.back()->path.asArray() != parent) {
    kj::throwFatalException(badInput(kj::str(
        "'", escapeText(path), "' comes before or after the directory that it is in")));
  }
  requireName(open.back()->path, name.asArray());
}

void Importer::directory(kj::StringPtr path) {
  enter(path);
  open.add(kj::heap<Directory>(Directory { kj::str(path), {} }));
}

void Importer::beginFile(kj::StringPtr path, bool) {
  enter(path);
  file = kj::heap<File>(store, shape, kj::str(path));
}

void Importer::piece(kj::ArrayPtr<const kj::byte> bytes) { KJ_ASSERT_NONNULL(file)->add(bytes); }

void Importer::endFile() {
  open.back()->entries.add(KJ_ASSERT_NONNULL(file)->finish());
  file = nullptr;
}

void Importer::closeDirectory() {
  auto made = makeDirectory(*open.back());
  open.removeLast();
  open.back()->entries.add(kj::mv(made));
}

Cid Importer::finish() {
  while (open.size() > 1) closeDirectory();
  return makeDirectory(*open.back()).cid;
}

Importer::Made Importer::makeDirectory(Directory& dir) {
  auto names = KJ_MAP(entry, dir.entries) -> kj::StringPtr { return entry.name; };
  requireDistinct(dir.path, names);
  auto name = kj::heapString(nameIn(dir.path));
  if (dir.entries.size() * LEAST_LINK_BYTES <= shape.directoryBytes) {
    uint64_t below = 0;
    for (auto& entry: dir.entries) below += entry.size;
    auto links = KJ_MAP(entry, dir.entries) {
      return ffi::Link { entry.name.asArray(), entry.cid.getBytes(), entry.size };
    };
    auto block = ffi::encodeNode({ .kind = ffi::NodeKind::DIRECTORY, .links = links });
    if (block.size() <= shape.directoryBytes) {
      auto cid = Cid::of(Cid::DAG_PB, block);
      store.put(cid, block);
      return Made { kj::mv(name), kj::mv(cid), below + block.size() };
    }
  }
  auto entries = KJ_MAP(entry, dir.entries) {
    entry.hash = ffi::hamtHash(entry.name);
    return &entry;
  };
  std::sort(entries.begin(), entries.end(), [](Made* a, Made* b) { return a->hash < b->hash; });
  auto made = makeShard(entries, 0, dir.path);
  made.name = kj::mv(name);
  return made;
}

// `entries` are in the order of their hashes, and alike in the bits of the levels above.
Importer::Made Importer::makeShard(kj::ArrayPtr<Made*> entries, kj::uint level,
                                   kj::StringPtr path) {
  if (level == 64 / SHARD_BITS) {
    kj::throwFatalException(badInput(kj::str(
        "the directory '", escapeText(path), "' has names of one and the same hash: '",
        escapeText(entries[0]->name), "' and '", escapeText(entries[1]->name), "'")));
  }
  auto indexOf = [&](Made* entry) {
    return entry->hash >> (64 - (level + 1) * SHARD_BITS) & (SHARD_FANOUT - 1);
  };
  kj::Vector<Made> links;
  kj::byte field[SHARD_FANOUT / 8] = {};
  uint64_t below = 0, block = 0;
  for (size_t start = 0, end; start < entries.size(); start = end) {
    auto index = indexOf(entries[start]);
    for (end = start + 1; end < entries.size() && indexOf(entries[end]) == index;) ++end;
    field[sizeof(field) - 1 - index / 8] |= 1 << (index % 8);
    char prefix[3];
    snprintf(prefix, sizeof(prefix), "%02X", unsigned(index));
    auto& only = *entries[start];
    auto made = end - start > 1
        ? makeShard(entries.slice(start, end), level + 1, path)
        : Made { kj::str(prefix, only.name), only.cid.clone(), only.size };
    if (end - start > 1) made.name = kj::str(prefix);
    below += made.size;
    links.add(kj::mv(made));
  }
  kj::ArrayPtr<kj::byte> bits = field;
  while (bits.size() > 0 && bits[0] == 0) bits = bits.slice(1, bits.size());
  auto all = KJ_MAP(link, links) {
    return ffi::Link { link.name.asArray(), link.cid.getBytes(), link.size };
  };
  ffi::NodeParts parts { .kind = ffi::NodeKind::SHARD, .data = bits.asConst(),
                         .hashType = ffi::HAMT_HASH, .fanout = uint64_t(SHARD_FANOUT),
                         .links = all };
  auto cid = putNode(store, parts, block);
  return Made { nullptr, kj::mv(cid), below + block };
}

}  // namespace ww
