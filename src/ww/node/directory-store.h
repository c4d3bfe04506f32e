#pragma once
// A Store in a folder of the file system: a file a value. The folder is private to its user: made
// with mode 0700, and refused when it belongs to somebody else or others may write to it. A value
// appears by a rename; what an interrupted put left behind is removed by a later one.

#include <kj/filesystem.h>
#include <ww/base/store.h>

namespace ww {

class DirectoryStore final: public Store {
 public:
  // Throws, naming the folder and what to do, when it cannot be made or is not private. Once its
  // files hold more than `maxBytes` together, the longest unused go.
  DirectoryStore(kj::StringPtr path, uint64_t maxBytes);
  ~DirectoryStore() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(DirectoryStore);

  kj::Maybe<kj::Own<const kj::ReadableFile>> find(kj::StringPtr key) override;
  void put(kj::StringPtr key, kj::ArrayPtr<const kj::byte> value) override;
  void remove(kj::StringPtr key) override;

  // Whether its files can be mapped as code: not where the disk is mounted noexec.
  bool isForCode() const;

 private:
  void makeRoom(uint64_t forBytes);

  const kj::String path;
  const uint64_t maxBytes;
  kj::AutoCloseFd folder;
};

// Makes the folder (and those above it) with mode 0700 if there is none, and opens it. Throws,
// naming it and what to do, unless it belongs to this user and nobody else may write to it.
kj::AutoCloseFd openPrivateFolder(kj::StringPtr path);

}  // namespace ww
