#include <ww/image/tree.h>

#include <ww/base/text.h>
#include <ww/image/directory.h>
#include <ww/image/name.h>

namespace ww {
namespace {

kj::StringPtr nameOf(ffi::NodeKind kind) {
  switch (kind) {
    case ffi::NodeKind::RAW:
    case ffi::NodeKind::FILE: return "a file"_kj;
    case ffi::NodeKind::DIRECTORY:
    case ffi::NodeKind::SHARD: return "a directory"_kj;
    case ffi::NodeKind::SYMLINK: return "a symbolic link"_kj;
    case ffi::NodeKind::METADATA: return "metadata"_kj;
  }
  return "nothing known"_kj;
}

uint64_t plus(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

// Of the file, or the part of one, that a node is. Throws where its parts are not what it says.
uint64_t sizeOf(kj::StringPtr path, const ffi::NodeParts& parts) {
  if (parts.kind != ffi::NodeKind::RAW && parts.kind != ffi::NodeKind::FILE) {
    refuse(path, kj::str("has ", nameOf(parts.kind), " as a part of a file"));
  }
  if (parts.blockSizes.size() != parts.links.size()) {
    refuse(path, kj::str("has a block of ", parts.links.size(), " links and the sizes of ",
                         parts.blockSizes.size()));
  }
  uint64_t size = parts.data.orDefault(nullptr).size();
  for (auto part: parts.blockSizes) size = plus(size, part);
  if (parts.fileSize.orDefault(size) != size) {
    refuse(path, kj::str("has a block that says it is of ", parts.fileSize.orDefault(0),
                         " bytes, and whose parts are of ", size));
  }
  return size;
}

class Reader {
 public:
  Reader(BlockFetcher& blocks, const TreeLimits& limits, TreeSink& sink)
      : walk(blocks, limits), limits(limits), sink(sink) {}

  kj::Promise<void> readRoot(const Cid& root) {
    auto block = co_await walk.load("", root);
    KJ_IF_MAYBE(node, block.tryGet<ffi::Node>()) {
      if (!isDirectory(*node)) {
        refuse("", kj::str(root.toText(), " is ", nameOf(node->getParts().kind),
                           "; an image is a directory"));
      }
      co_await readDirectory("", 0, kj::mv(*node));
    } else {
      refuse("", kj::str(root.toText(), " is a file; an image is a directory"));
    }
  }

 private:
  kj::Promise<void> readDirectory(kj::StringPtr path, kj::uint depth, ffi::Node node) {
    if (depth > limits.depth) refuse(path, kj::str("is deeper than ", limits.depth));
    DagWalk::Hold hold(walk, path);
    auto entries = co_await listDirectory(walk, path, kj::mv(node), hold);
    for (auto& entry: entries) {
      if (++seen > limits.entries) {
        refuse(path, kj::str("is beyond ", limits.entries, " files and directories, which is what "
                             "an image may have"));
      }
      auto child = joinPath(path, entry.name);
      if (child.size() > limits.pathBytes) {
        refuse(path, kj::str("leads to a path of more than ", limits.pathBytes, " bytes"));
      }
      if ((pathBytes += child.size()) > limits.allPathBytes) {
        refuse(path, kj::str("is beyond ", limits.allPathBytes, " bytes of paths, which is what "
                             "all those of an image may have together"));
      }
      co_await readEntry(child, depth + 1, entry.cid);
    }
  }

  kj::Promise<void> readEntry(kj::StringPtr path, kj::uint depth, const Cid& cid) {
    auto block = co_await walk.load(path, cid);
    KJ_IF_MAYBE(raw, block.tryGet<kj::Array<const kj::byte>>()) {
      sink.beginContent(path, false, cid, raw->size());
      give(path, *raw);
      sink.endFile();
      co_return;
    }
    auto& node = block.get<ffi::Node>();
    auto& parts = node.getParts();
    if (isDirectory(node)) {
      sink.directory(path);
      co_await readDirectory(path, depth, kj::mv(node));
      co_return;
    }
    if (parts.kind != ffi::NodeKind::FILE && parts.kind != ffi::NodeKind::RAW) {
      refuse(path, kj::str("is ", nameOf(parts.kind), ": an image has files and directories"));
    }
    auto size = sizeOf(path, parts);
    requireRoom(path, size);
    sink.beginContent(path, (parts.mode.orDefault(0) & 0111) != 0, cid, size);
    co_await readFile(path, 0, kj::mv(node));
    sink.endFile();
  }

  // The file's bytes, or those of a part whose size was found right.
  kj::Promise<void> readFile(kj::StringPtr path, kj::uint depth, ffi::Node node) {
    if (depth > limits.depth) refuse(path, kj::str("has blocks ", depth, " deep"));
    auto& parts = node.getParts();
    DagWalk::Hold hold(walk, path);
    hold.add(node.getFootprint());
    KJ_IF_MAYBE(data, parts.data) give(path, *data);
    DagWalk::Ahead links(walk, path, parts.links);
    for (auto size: parts.blockSizes) {
      auto next = links.take();
      auto block = readDagBlock(path, next.cid, co_await next.block);
      KJ_SWITCH_ONEOF(block) {
        KJ_CASE_ONEOF(raw, kj::Array<const kj::byte>) {
          requireSize(path, next.cid, size, raw.size());
          give(path, raw);
        }
        KJ_CASE_ONEOF(inner, ffi::Node) {
          requireSize(path, next.cid, size, sizeOf(path, inner.getParts()));
          co_await readFile(path, depth + 1, kj::mv(inner));
        }
      }
    }
  }

  void requireSize(kj::StringPtr path, const Cid& cid, uint64_t said, uint64_t size) {
    if (said == size) return;
    refuse(path, kj::str("has a part, block ", cid.toText(), ", of ", size, " bytes, where ", said,
                         " are said to be"));
  }

  void requireRoom(kj::StringPtr path, uint64_t size) {
    if (plus(bytes, size) <= limits.bytes) return;
    refuse(path, kj::str("has ", size, " bytes, and all files of an image ", limits.bytes,
                         " at the most"));
  }

  void give(kj::StringPtr path, kj::ArrayPtr<const kj::byte> piece) {
    requireRoom(path, piece.size());
    bytes += piece.size();
    if (piece.size() > 0) sink.piece(piece);
  }

  DagWalk walk;
  const TreeLimits& limits;
  TreeSink& sink;
  uint64_t bytes = 0;      // that were given
  uint64_t seen = 0;       // files and directories
  uint64_t pathBytes = 0;  // of all of those
};

kj::Promise<Cid> resolve(BlockFetcher& blocks, Cid cid, kj::String path) {
  TreeLimits limits;
  DagWalk walk(blocks, limits);
  auto root = cid.toText();
  kj::String so;  // the path so far
  kj::StringPtr rest = path;
  while (rest.size() > 0) {
    auto end = rest.findFirst('/').orDefault(rest.size());
    auto name = kj::heapString(rest.slice(0, end));
    rest = rest.slice(end == rest.size() ? end : end + 1);
    requireName(so, name);
    auto block = co_await walk.load(so, cid);
    auto next = joinPath(so, name);
    KJ_IF_MAYBE(node, block.tryGet<ffi::Node>()) {
      if (!isDirectory(*node)) refuse(so, kj::str("is ", nameOf(node->getParts().kind)));
      KJ_IF_MAYBE(entry, co_await findEntry(walk, so, kj::mv(*node), name)) {
        cid = kj::mv(*entry);
      } else {
        refuse(next, kj::str("is not there, below /ipfs/", root));
      }
    } else {
      refuse(so, kj::str("is a file, and has no '", escapeText(name), "' in it"));
    }
    so = kj::mv(next);
  }
  co_return kj::mv(cid);
}

kj::Promise<void> read(BlockFetcher& blocks, Cid root, TreeLimits limits, TreeSink& sink) {
  Reader reader(blocks, limits, sink);
  co_await reader.readRoot(root);
}

}  // namespace

kj::Promise<Cid> resolvePath(BlockFetcher& blocks, const Cid& root, kj::StringPtr path) {
  return resolve(blocks, root.clone(), kj::str(path));
}

kj::Promise<void> readTree(BlockFetcher& blocks, const Cid& root, const TreeLimits& limits,
                           TreeSink& sink) {
  return read(blocks, root.clone(), limits, sink);
}

}  // namespace ww
