#include <ww/node/mounts.h>

#include <fcntl.h>
#include <kj/io.h>
#include <limits.h>
#include <unistd.h>

namespace ww {
namespace {

kj::String readText(kj::StringPtr path) {
  int fd = open(path.cStr(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return kj::String();
  return kj::FdInputStream(kj::AutoCloseFd(fd)).readAllText();
}

// Words and lines, the empty ones too.
kj::Vector<kj::ArrayPtr<const char>> split(kj::ArrayPtr<const char> text, char separator) {
  kj::Vector<kj::ArrayPtr<const char>> parts;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); i++) {
    if (i < text.size() && text[i] != separator) continue;
    parts.add(text.slice(begin, i));
    begin = i + 1;
  }
  return parts;
}

bool isOctal(char c) { return c >= '0' && c <= '7'; }

// The kernel writes a blank, a tab, a line's end and a backslash as three octal digits.
kj::String unescape(kj::ArrayPtr<const char> word) {
  kj::Vector<char> plain(word.size() + 1);
  for (size_t i = 0; i < word.size(); i++) {
    bool escaped = word[i] == '\\' && i + 3 < word.size() && isOctal(word[i + 1]) &&
        isOctal(word[i + 2]) && isOctal(word[i + 3]);
    if (escaped) {
      plain.add(char((word[i + 1] - '0') * 64 + (word[i + 2] - '0') * 8 + (word[i + 3] - '0')));
      i += 3;
    } else {
      plain.add(word[i]);
    }
  }
  plain.add('\0');
  return kj::String(plain.releaseAsArray());
}

// What of `path` is below `folder`, with its slash; none where it is not within it.
kj::Maybe<kj::StringPtr> below(kj::StringPtr folder, kj::StringPtr path) {
  if (folder == "/") return path == "/" ? ""_kj : path;
  if (!path.startsWith(folder)) return nullptr;
  auto rest = path.slice(folder.size());
  if (rest.size() > 0 && rest[0] != '/') return nullptr;
  return rest;
}

kj::Maybe<kj::String> pathOf(int folder) {
  char path[PATH_MAX];
  auto size = readlink(kj::str("/proc/self/fd/", folder).cStr(), path, sizeof(path));
  if (size <= 0 || size_t(size) == sizeof(path)) return nullptr;
  return kj::heapString(path, size);
}

kj::Maybe<uint64_t> mountOf(int folder) {
  auto info = readText(kj::str("/proc/self/fdinfo/", folder));
  for (auto line: split(info, '\n')) {
    auto text = kj::heapString(line);
    if (text.startsWith("mnt_id:")) {
      auto number = text.slice(7);
      while (number.startsWith("\t") || number.startsWith(" ")) number = number.slice(1);
      return number.tryParseAs<uint64_t>();
    }
  }
  return nullptr;
}

}  // namespace

bool FilePlace::holds(const FilePlace& other) const {
  return device == other.device && below(path, other.path) != nullptr;
}

Mounts::Mounts(kj::StringPtr mountinfo) {
  for (auto line: split(mountinfo, '\n')) {
    // ID PARENT MAJOR:MINOR ROOT POINT ...
    auto words = split(line, ' ');
    if (words.size() < 5) continue;
    KJ_IF_MAYBE(id, kj::heapString(words[0]).tryParseAs<uint64_t>()) {
      mounts.add(Mount{*id, {kj::heapString(words[2]), unescape(words[3])}, unescape(words[4])});
    }
  }
}

Mounts Mounts::read() { return Mounts(readText("/proc/self/mountinfo")); }

kj::Maybe<FilePlace> Mounts::placeOf(int folder) const {
  KJ_IF_MAYBE(id, mountOf(folder)) {
    KJ_IF_MAYBE(path, pathOf(folder)) {
      for (auto& mount: mounts) {
        if (mount.id != *id) continue;
        KJ_IF_MAYBE(rest, below(mount.point, *path)) {
          auto& top = mount.top;
          auto whole = top.path == "/" && rest->size() > 0 ? kj::str(*rest)
                                                           : kj::str(top.path, *rest);
          return FilePlace{kj::str(top.device), kj::mv(whole)};
        }
      }
    }
  }
  return nullptr;
}

kj::Vector<FilePlace> Mounts::within(int folder) const {
  kj::Vector<FilePlace> tops;
  KJ_IF_MAYBE(path, pathOf(folder)) {
    for (auto& mount: mounts) {
      if (mount.point == *path || below(*path, mount.point) == nullptr) continue;
      tops.add(FilePlace{kj::str(mount.top.device), kj::str(mount.top.path)});
    }
  }
  return tops;
}

}  // namespace ww
