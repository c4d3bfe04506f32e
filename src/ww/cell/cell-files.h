#pragma once
// What a cell is given of files: folders of the host, and one in memory that is its own and is
// counted as its memory. None of it passes on to the cells that it starts.

#include <kj/array.h>
#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace ww {

struct CellFolder {
  kj::AutoCloseFd folder;
  kj::String path;        // that the cell knows it by: absolute
  bool writable = false;
  bool foreign = true;    // others put there what they like
};

struct CellFiles {
  kj::Vector<CellFolder> folders;
  kj::Maybe<kj::String> scratch;  // the path of the folder in memory
};

}  // namespace ww
