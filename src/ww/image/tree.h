#pragma once
// A tree of files as a DAG of blocks (UnixFS 1) has it, walked depth first, its entries in the
// order of their names' bytes, and handed to a TreeSink file by file, piece by piece: memory is
// bounded by a block and the path to it (and some blocks that are asked for ahead), however large
// the tree is. The same block may stand in a tree a million times: each time counts.
//
// Refused by name, with the path: names that are empty, `.`, `..`, hold `/` or NUL, or are not
// UTF-8; names that differ in case alone; symbolic links; more than the limits say. Links to what
// is above are impossible in a DAG of checked hashes; where a store is damaged, depth ends them. A
// file has the size that it says, and so does each of its parts: what would be too large is refused
// before it is read. A sharded directory has each name where its hash belongs.

#include <kj/async.h>
#include <ww/image/block.h>

namespace ww {

struct TreeLimits {
  uint64_t bytes = uint64_t(16) << 30;   // of all files
  uint64_t entries = 1 << 20;            // files and directories
  uint64_t blocks = 4 << 20;             // that are visited, however often the same
  uint64_t blockBytes = uint64_t(17) << 30;  // of those: the files' own, and what leads to them
  kj::uint depth = 64;                   // of directories, and of a file's blocks
  uint64_t heldBytes = 128 << 20;        // of the directories and blocks that lead to one file
  size_t pathBytes = 4096;               // of each; names are bounded by name.h
  uint64_t allPathBytes = 64 << 20;      // of all paths together, as a sink may keep them
};

// Takes a tree. Paths are relative, with `/` between names, already checked. Throws to refuse.
class TreeSink {
 public:
  virtual ~TreeSink() noexcept(false) {}

  virtual void directory(kj::StringPtr path) = 0;              // before what is in it; not the root
  virtual void beginFile(kj::StringPtr path, bool executable) = 0;
  // The same, where it is known what comes: the file with this content id, of so many bytes.
  virtual void beginContent(kj::StringPtr path, bool executable, const Cid&, uint64_t /*bytes*/) {
    beginFile(path, executable);
  }
  virtual void piece(kj::ArrayPtr<const kj::byte> bytes) = 0;  // of the file that was begun
  virtual void endFile() = 0;
};

// The directory or file that `path` (names with `/` between; empty: the root itself) leads to.
kj::Promise<Cid> resolvePath(BlockFetcher& blocks, const Cid& root, kj::StringPtr path);

// Hands the whole tree under `root`, a directory, to `sink`. A root that is one file is refused: an
// image is a directory.
kj::Promise<void> readTree(BlockFetcher& blocks, const Cid& root, const TreeLimits& limits,
                           TreeSink& sink);

}  // namespace ww
