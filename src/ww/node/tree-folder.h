#pragma once
// The merged trees of a data folder: each in a folder that nobody changes any more, under a name
// that its content gave it. image-tree.h says how one comes to be.
//
// Files are read and removed on the caller's thread, which waits for the disk.

#include <kj/function.h>
#include <kj/io.h>
#include <kj/map.h>
#include <kj/one-of.h>
#include <kj/refcount.h>
#include <kj/time.h>
#include <ww/image/tree.h>
#include <ww/node/image-file.h>

namespace ww {

class ImageTree;

// The trees of a data folder, which is this process's alone.
class TreeFolder final {
 public:
  // What is not in use goes, the longest unused first, once all take more than `bytes`; and what
  // nobody has used for `age`.
  struct Bounds {
    uint64_t bytes = uint64_t(4) << 30;
    kj::Duration age = 30 * kj::DAYS;
  };

  // Makes the folder where there is none, and removes what a killed node left half made. Throws as
  // openPrivateFolder() does.
  TreeFolder(kj::StringPtr path, Bounds bounds, const kj::Clock& clock);
  ~TreeFolder() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(TreeFolder);

  // An empty one, to be given layers. The folder outlives it.
  kj::Own<ImageTree> begin(TreeLimits limits = TreeLimits());

  // Removes what is beyond the bounds.
  void prune();

 private:
  friend class ImageTree;
  friend class MergedTree;

  kj::String newPart();
  kj::AutoCloseFd open(kj::StringPtr name) const;
  kj::Maybe<kj::AutoCloseFd> findTree(kj::StringPtr name, kj::FunctionParam<bool(int)> isWhole);
  void put(kj::StringPtr part, kj::StringPtr name);
  void remove(kj::StringPtr name) noexcept;  // as far as it goes

  const kj::String path;
  const Bounds bounds;
  const kj::Clock& clock;
  kj::AutoCloseFd folder;
  kj::HashMap<kj::String, kj::uint> inUse;  // by name
};

// A tree that is whole. It is kept on disk while this lives.
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
  // bytes are is not looked at.
  kj::OneOf<kj::Array<kj::byte>, NoImage> readMain() const;

 private:
  TreeFolder& folder;
  const kj::String name;
  const kj::AutoCloseFd root;
  const kj::String layers;  // for a person
};

}  // namespace ww
