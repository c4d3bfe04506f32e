#pragma once
// The merged trees of a data folder: each in a folder that nobody changes any more, under a name
// that its content gave it. image-tree.h says how one comes to be.
//
// A tree lives as long as somebody in this process uses it. What another process left is never
// used: what was verified then may be something else by now, and what takes its place is written,
// and verified as it is, all the same.
//
// Trees are removed on a thread of their own, which comes when it is needed: no loop waits for
// that, however large they are.

#include <kj/io.h>
#include <kj/map.h>
#include <kj/one-of.h>
#include <kj/refcount.h>
#include <ww/image/tree.h>
#include <ww/node/image-file.h>

namespace ww {

class ImageTree;
class FolderRemover;

// The trees of a data folder, which is this process's alone.
class TreeFolder final {
 public:
  // Makes the folder where there is none, and has what is in it removed. Throws as
  // openPrivateFolder() does.
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

  kj::String newPart();
  kj::AutoCloseFd open(kj::StringPtr name) const;
  bool isInUse(kj::StringPtr name) const { return inUse.find(name) != nullptr; }
  void put(kj::StringPtr part, kj::StringPtr name);
  void remove(kj::StringPtr name) noexcept;  // as far as it goes
  void removeFrom(int tree, kj::StringPtr path);

  const kj::String path;
  kj::AutoCloseFd folder;
  kj::Own<FolderRemover> remover;
  kj::HashMap<kj::String, kj::uint> inUse;  // by name: how many MergedTrees
};

// A tree that is whole. It is on disk while this lives.
class MergedTree final: public kj::Refcounted {
 public:
  // For ImageTree.
  MergedTree(TreeFolder& folder, kj::String name, kj::AutoCloseFd root, kj::String layers);
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
