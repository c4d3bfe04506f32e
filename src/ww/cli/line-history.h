#pragma once
// What a person typed at prompts before: a file with a line each, private to its user, of the last
// MAX_LINES. Several processes may add to it.

#include <kj/io.h>
#include <kj/string.h>
#include <kj/vector.h>

namespace ww {

class LineHistory final {
 public:
  static constexpr size_t MAX_LINES = 1000;
  static constexpr size_t MAX_LINE_BYTES = 4096;

  // Of the file `history` in this folder, which is made, with mode 0700, if there is none. Throws,
  // naming what, where that cannot be or the file cannot be read.
  explicit LineHistory(kj::StringPtr folder);

  // The oldest first.
  kj::ArrayPtr<const kj::String> getLines() const { return lines; }

  // Text that is not blank, nor longer than MAX_LINE_BYTES.
  static bool isWorthKeeping(kj::ArrayPtr<const char> line);

  // Adds one that is worth keeping and not the same as the last; leaves others. Throws if it cannot
  // be written.
  void add(kj::StringPtr line);

 private:
  kj::AutoCloseFd open(int flags) const;
  void read();
  void rewrite();

  kj::String path;
  kj::AutoCloseFd folder;
  kj::Vector<kj::String> lines;
  size_t inFile = 0;  // lines, as far as this process knows
};

}  // namespace ww
