#pragma once
// A tree of files as blocks under content ids, by the profile `unixfs-v1-2025` (IPIP-499), so that
// a tree has the content id that Kubo and js give it: version 1, sha2-256, raw leaves of 1 MiB,
// balanced nodes of up to 1024 links, and a directory whose block were larger than 256 KiB sharded
// 256-fold. Neither modes nor times are recorded: the same files have the same content id on every
// host.
//
// Memory: one leaf, the nodes above it, and the entries of the directories that are open. How many
// those are, how deep and how large is not bounded here: whoever hands over the tree does that.

#include <ww/image/tree.h>

namespace ww {

// Of other profiles, for tests.
struct ImportShape {
  size_t chunkBytes = 1 << 20;
  size_t fileLinks = 1024;
  size_t directoryBytes = 256 << 10;
};

// Takes a tree in depth-first order, its directories' entries in any. What it refuses is as in
// TreeSink, and a name that comes twice or again in another case. The store outlives it.
class Importer final: public TreeSink {
 public:
  explicit Importer(BlockStore& store, ImportShape shape = {});
  ~Importer() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Importer);

  void directory(kj::StringPtr path) override;
  void beginFile(kj::StringPtr path, bool executable) override;
  void piece(kj::ArrayPtr<const kj::byte> bytes) override;
  void endFile() override;

  // Everything is there: the root directory's content id. Once.
  Cid finish();

 private:
  struct Made;
  struct Directory;
  class File;

  void enter(kj::StringPtr path);  // closes what is open and does not lead to it
  void closeDirectory();
  Made makeDirectory(Directory& dir);
  Made makeShard(kj::ArrayPtr<Made*> entries, kj::uint level, kj::StringPtr path);

  BlockStore& store;
  const ImportShape shape;
  kj::Vector<kj::Own<Directory>> open;  // the root first
  kj::Maybe<kj::Own<File>> file;
};

}  // namespace ww
