#pragma once
// What a pid0 is given of files: its image's tree as `/`, a scratch folder, and what it is lent.
// Each is a preopen. Which of two a path is looked up in that one is within the other, as every one
// is within `/`, is the guest's library's choice: wasi-libc and Rust's std take the longer.

#include <ww/cell/cell-files.h>
#include <ww/node/tree-folder.h>

namespace ww {

// Of each pid0 anew. The tree is kept, by whoever has it, while pid0 runs.
inline CellFiles filesOfPid0(const MergedTree& image, kj::Vector<CellFolder> volumes) {
  CellFiles files;
  files.folders = kj::mv(volumes);
  files.folders.add(CellFolder{image.openRoot(), kj::str("/"), false, false});
  files.scratch = kj::str("/tmp");
  return files;
}

}  // namespace ww
