#pragma once
// What this process has mounted where, so that a folder is known by its place in its file system
// however it is reached: a bind mount shows the same folder under another path, and `..` knows one
// of them only.

#include <kj/common.h>
#include <kj/string.h>
#include <kj/vector.h>
#include <stdint.h>

namespace ww {

// A folder, by its path within its file system.
struct FilePlace {
  kj::String device;  // MAJOR:MINOR
  kj::String path;    // absolute

  // Is `other` it, or within it?
  bool holds(const FilePlace& other) const;
};

class Mounts {
 public:
  // Of the text of /proc/PID/mountinfo. What is no line of one is passed over.
  explicit Mounts(kj::StringPtr mountinfo);

  // As they are now. Empty where /proc does not tell.
  static Mounts read();

  // Of an open folder. None where its mount is not known.
  kj::Maybe<FilePlace> placeOf(int folder) const;

  // What is mounted below it: the top folder of each.
  kj::Vector<FilePlace> within(int folder) const;

 private:
  struct Mount {
    uint64_t id;
    FilePlace top;
    kj::String point;
  };
  kj::Vector<Mount> mounts;
};

}  // namespace ww
