#pragma once
// A folder of the host that pid0 is lent: `ww run --volume HOST:GUEST[:ro|rw]`.

#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/string.h>
#include <ww/cell/cell-files.h>

namespace ww {

struct Volume {
  kj::String host;   // a folder
  kj::String guest;  // absolute, and neither `/` nor `/tmp`
  bool writable = false;
};

// What `text`, HOST:GUEST[:ro|rw], says; else what is wrong with it. The disk is not looked at.
kj::OneOf<Volume, kj::String> parseVolume(kj::StringPtr text);

// Opens them. Throws, naming the volume, for a folder that cannot be opened; for one that is, holds
// or is within one of `kept`, what the node keeps to itself, by whichever way it is reached; and
// for a guest's path that is named twice.
kj::Vector<CellFolder> openVolumes(kj::ArrayPtr<const Volume> volumes,
                                   kj::ArrayPtr<const kj::StringPtr> kept);

// The same folders, opened for one more cell.
kj::Vector<CellFolder> openAgain(kj::ArrayPtr<const CellFolder> folders);

}  // namespace ww
