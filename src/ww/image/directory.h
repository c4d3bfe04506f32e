#pragma once
// A directory of UnixFS, plain or sharded into a HAMT. For the files of this room only.

#include <ww/image/dag.h>

namespace ww {

struct DirectoryEntry {
  bool operator<(const DirectoryEntry& other) const { return name < other.name; }

  kj::String name;
  Cid cid;
};

bool isDirectory(const ffi::Node& node);

// All of it, in the order of the names' bytes; every name is one, and no two are alike. What it
// takes is held by `hold`. `path` outlives the promise.
kj::Promise<kj::Array<DirectoryEntry>> listDirectory(DagWalk& walk, kj::StringPtr path,
                                                     ffi::Node node, DagWalk::Hold& hold);

// One name's, with no more blocks than lead to it.
kj::Promise<kj::Maybe<Cid>> findEntry(DagWalk& walk, kj::StringPtr path, ffi::Node node,
                                      kj::StringPtr name);

}  // namespace ww
