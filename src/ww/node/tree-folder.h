#pragma once
// The merged trees of a data folder: each in a folder that nobody changes any more, under a name
// that its content gave it. image-tree.h says how one comes to be.
//
// A tree lives as long as somebody in this process uses it. What another process left is never
// used: what was verified then may be something else by now, and what takes its place is written,
// and verified as it is, all the same.
//
// Content that a tree in use has already is linked from there into the next one, and not written
// again: a file of LINKED_BYTES or more, by its content id. Nobody writes to a tree, so that what
// two have in common is as safe as in one, and stays with either when the other goes.
//
// Trees are removed on a thread of their own, which comes when it is needed: no loop waits for
// that, however large they are.

#include <array>
#include <kj/io.h>
#include <kj/map.h>
#include <kj/one-of.h>
#include <kj/refcount.h>
#include <ww/image/tree.h>
#include <ww/node/image-file.h>

namespace ww {

class ImageTree;
class FolderRemover;

// Smaller ones are written: so what is remembered of a tree at its limits is some 80 MiB.
constexpr uint64_t LINKED_BYTES = 64 << 10;

// A file of content in a tree.
struct TreeFile {
  kj::String path;
  uint64_t bytes;
  bool executable;
  std::array<kj::byte, 32> hash;
};
using TreeContents = kj::HashMap<Cid, TreeFile>;

// The trees of a data folder, which is this process's alone.
class TreeFolder final {
 public:
  // Makes the folder where there is none, and has what is in it removed while this lives: of what
  // takes longer, the rest stays for the next process. Throws as openPrivateFolder() does.
  explicit TreeFolder(kj::StringPtr path);

  // What is still to be removed is, if it is little; else some of it stays for the next process.
  ~TreeFolder() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(TreeFolder);

  // An empty one, to be given layers. The folder outlives it.
  kj::Own<ImageTree> begin(TreeLimits limits = TreeLimits());

  // Waits until what is to be removed by now is. Not for a loop that others wait for.
  void waitUntilRemoved();

  kj::StringPtr getPath() const { return path; }

 private:
  friend class ImageTree;
  friend class MergedTree;

  struct InUse {
    kj::uint users = 0;  // MergedTrees
    TreeContents contents;
  };

  kj::String newPart();
  kj::AutoCloseFd open(kj::StringPtr name) const;
  bool isInUse(kj::StringPtr name) const { return inUse.find(name) != nullptr; }
  void put(kj::StringPtr part, kj::StringPtr name);
  // Puts the file with that content at `path` in the folder `part`, and gives its hash, where a
  // tree in use has it and the file system can.
  kj::Maybe<std::array<kj::byte, 32>> link(const Cid& cid, uint64_t bytes, bool executable,
                                           int part, kj::StringPtr path);
  void remove(kj::StringPtr name) noexcept;  // as far as it goes
  kj::String setAside(kj::StringPtr name);
  void removeFrom(int tree, kj::StringPtr path);

  const kj::String path;
  kj::AutoCloseFd folder;
  kj::Own<FolderRemover> remover;
  kj::HashMap<kj::String, InUse> inUse;  // by name
};

// A tree that is whole. It is on disk while this lives.
class MergedTree final: public kj::Refcounted {
 public:
  // For ImageTree.
  MergedTree(TreeFolder& folder, kj::String name, kj::AutoCloseFd root, kj::String layers,
             TreeContents contents);
  ~MergedTree() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(MergedTree);

  int getRoot() const { return root; }                // the folder itself
  kj::AutoCloseFd openRoot() const;                   // the same, for somebody else
  kj::StringPtr getName() const { return name; }      // the same for the same content

  // The component that is run as pid0: main.wasm, or, where there is none, bin/main.wasm. What the
  // bytes are is not looked at. Throws where the disk, or a limit of the process, is to blame.
  kj::OneOf<kj::Array<kj::byte>, NoImage> readMain() const;

 private:
  TreeFolder& folder;
  const kj::String name;
  const kj::AutoCloseFd root;
  const kj::String layers;  // for a person
};

}  // namespace ww
