#pragma once
// An image's tree, merged from its layers: what pid0 has as its read-only `/`.
//
// Layers are handed over one after the other, each file by file as a TreeSink takes it, wherever it
// comes from. What a later layer has takes the place of what an earlier one has under that name; of
// a folder that both have, both parts are there. As OCI has it, a file `.wh.NAME` hides NAME of the
// layers before its own, and `.wh..wh..opq` all that those have in its folder.
//
// A tree grows in a folder that nobody else sees, and is put in its place, under the name that its
// content gives it, by one rename: from then on nobody changes it. What comes from the host is
// copied, so that what happens there later is not seen. Content that another tree has is linked
// from there, though it is read, counted and hashed as if it were written: either way the tree's
// name is that of what was read.
//
// The files are written on the caller's thread, and wait for the disk. Memory grows with the number
// of files and folders, and with their paths: some 350 MiB at the limits, while finish() is at
// work.

#include <array>
#include <kj/vector.h>
#include <map>
#include <set>
#include <string>
#include <ww/ffi/running-hash.h>
#include <ww/node/tree-folder.h>

namespace ww {

// `layer: path: what`: the layer is to blame, and there is no image. isNoImage() holds for it.
kj::Exception layerProblem(kj::StringPtr layer, kj::StringPtr path, kj::StringPtr what);
kj::Exception noImage(kj::StringPtr why);  // likewise
constexpr kj::StringPtr NOT_AN_IMAGE = "not an image: "_kj;  // how it begins
bool isNoImage(const kj::Exception& exception);

// What is wrong with a path in a tree, if anything is: it is absolute, a name in it is none
// (findNameProblem()), or it has more bytes or folders than the limits say.
kj::Maybe<kj::String> findPathProblem(kj::StringPtr path, const TreeLimits& limits);

// A tree that is being merged. Dropped before finish(), it leaves nothing.
class ImageTree final: public TreeSink {
 public:
  // For TreeFolder.
  ImageTree(TreeFolder& folder, TreeLimits limits);
  ~ImageTree() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ImageTree);

  // What follows is of this layer, which a person knows by `name`.
  void beginLayer(kj::StringPtr name);

  // Each throws layerProblem() to refuse, and where the disk is to blame a failure that names the
  // folder; after that the tree is of no use any more.
  void directory(kj::StringPtr path) override;
  void beginFile(kj::StringPtr path, bool executable) override;
  void beginContent(kj::StringPtr path, bool executable, const Cid& cid, uint64_t size) override;
  void piece(kj::ArrayPtr<const kj::byte> bytes) override;
  void endFile() override;

  // Rejects likewise, for names that differ in case alone. Once. Lets the loop look meanwhile; this
  // outlives the promise. A tree of the same content that is in use is used once more.
  kj::Promise<kj::Own<MergedTree>> finish();

 private:
  struct Entry {
    uint32_t layer;
    bool isDirectory;
    bool executable = false;
    uint64_t bytes = 0;
    std::array<kj::byte, 32> hash = {};
    kj::Maybe<kj::Own<Cid>> cid = nullptr;  // of what may be linked
  };
  using Entries = std::map<std::string, Entry>;

  [[noreturn]] void refuse(kj::StringPtr path, kj::StringPtr what) const;
  void takePlace(kj::StringPtr path, bool isDirectory);
  kj::Maybe<Entry&> find(kj::StringPtr path);
  bool beginEntry(kj::StringPtr path, bool executable);
  void createFile(kj::StringPtr path);
  void beginWhiteout(kj::StringPtr path, kj::StringPtr name);
  void hideBelow(const std::string& path);
  void hide(const std::string& path);
  Entries::iterator erase(Entries::iterator entry);
  bool isOfThisLayer(const Entry& entry) const { return entry.layer + 1 == layers.size(); }
  [[noreturn]] void failToWrite(kj::StringPtr path) const;  // as errno says
  kj::Promise<void> requireNoCollision() const;
  kj::Promise<kj::String> takeName();
  kj::Promise<TreeContents> takeContents();

  TreeFolder& folder;
  const TreeLimits limits;
  const kj::String part;   // its name until it is whole
  kj::AutoCloseFd root;
  kj::Vector<kj::String> layers;
  Entries entries;         // by path
  std::set<std::string> whiteouts;  // of this layer
  uint64_t bytes = 0, steps = 0, pathBytes = 0;  // of all layers, what is hidden too

  std::string current;     // the file that was begun; empty: none
  bool currentHides = false;
  kj::AutoCloseFd file;
  kj::Maybe<std::array<kj::byte, 32>> linked;  // it is, to one with this hash
  ffi::RunningHash hash;
};

}  // namespace ww
