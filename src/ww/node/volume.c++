#include <ww/node/volume.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/map.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/node/mounts.h>

namespace ww {
namespace {

constexpr kj::StringPtr TO_DO = "it takes HOST:GUEST, or HOST:GUEST:rw to write to it"_kj;

[[noreturn]] void refuse(const Volume& volume, kj::StringPtr what) {
  kj::throwFatalException(badInput(kj::str("the volume ", volume.host, ": ", what)));
}

kj::Maybe<kj::String> findGuestProblem(kj::StringPtr guest) {
  if (!guest.startsWith("/")) {
    return kj::str("the path in the cell is not absolute (and no mode: that is `ro` or `rw`)");
  }
  if (guest == "/" || guest == "/tmp") {
    return kj::str(guest, " in the cell is the image's own; name another path there");
  }
  if (!isUtf8(guest.asBytes())) return kj::str("the path in the cell is not UTF-8");
  for (size_t i = 1; i <= guest.size();) {
    auto end = i + guest.slice(i).findFirst('/').orDefault(guest.size() - i);
    auto name = guest.slice(i, end);
    if (name.size() == 0 || name == "."_kj.asArray() || name == ".."_kj.asArray()) {
      return kj::str("the path in the cell has an empty name, `.` or `..` in it");
    }
    i = end + 1;
  }
  return nullptr;
}

struct Identity {
  dev_t device;
  ino_t number;
  bool operator==(const Identity&) const = default;
};

kj::Maybe<Identity> identify(int fd) {
  struct stat info;
  if (fstat(fd, &info) < 0) return nullptr;
  return Identity{info.st_dev, info.st_ino};
}

// A folder and all that it is within, to the root: as the kernel has them, so that no link hides
// one.
kj::Vector<Identity> wayUp(int folder) {
  kj::Vector<Identity> way;
  kj::AutoCloseFd last;
  for (int at = folder;; at = last) {
    auto here = KJ_ASSERT_NONNULL(identify(at));
    if (way.size() > 0 && way.back() == here) return way;
    way.add(here);
    int above = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (above < 0) {
      kj::throwFatalException(badInput(kj::str("one cannot see what a folder is within (",
                                               strerror(errno), ")")));
    }
    last = kj::AutoCloseFd(above);
  }
}

kj::Maybe<kj::AutoCloseFd> openPath(kj::StringPtr path, int flags) {
  int fd = open(path.cStr(), flags | O_CLOEXEC);
  if (fd < 0) return nullptr;
  return kj::AutoCloseFd(fd);
}

bool contains(const kj::Vector<Identity>& way, Identity one) {
  for (auto& each: way) {
    if (each == one) return true;
  }
  return false;
}

// A folder that a volume must not be or hold; `whole`: nor be within.
struct Kept {
  kj::AutoCloseFd folder;
  bool whole;
};

constexpr kj::uint MOST_LINKS = 40;  // on one way, as the kernel has it

// Follows a path, one name after the other, and tells of each folder that holds a link on its way:
// whoever writes there says where it leads.
class Way {
 public:
  explicit Way(kj::StringPtr path): here(kj::str("/")) {
    if (!path.startsWith("/")) {
      char current[PATH_MAX];
      if (getcwd(current, sizeof(current)) != nullptr) here = kj::str(current);
    }
    ahead(path);
    while (names.size() > 0) step();
  }

  kj::Vector<kj::String> holders;

  // What it leads to, whether it is there or not.
  kj::StringPtr getEnd() const { return here; }

 private:
  kj::String here;
  kj::Vector<kj::String> names;  // still to go, the next one last
  kj::uint links = 0;

  void ahead(kj::StringPtr path) {
    kj::Vector<kj::String> parts;
    for (size_t i = 0; i < path.size();) {
      auto end = i + path.slice(i).findFirst('/').orDefault(path.size() - i);
      if (end > i) parts.add(kj::heapString(path.slice(i, end)));
      i = end + 1;
    }
    for (size_t i = parts.size(); i > 0; i--) names.add(kj::mv(parts[i - 1]));
  }

  void step() {
    auto name = kj::mv(names.back());
    names.removeLast();
    if (name == ".") return;
    if (name == "..") {
      here = folderOf(here);
      return;
    }
    auto next = here == "/" ? kj::str("/", name) : kj::str(here, "/", name);
    char target[PATH_MAX];
    auto size = readlink(next.cStr(), target, sizeof(target));
    if (size <= 0 || size_t(size) == sizeof(target) || ++links > MOST_LINKS) {
      here = kj::mv(next);
      return;
    }
    holders.add(kj::str(here));
    if (target[0] == '/') here = kj::str("/");
    ahead(kj::heapString(target, size));
  }
};

// What is kept where it is a folder; of a file, the folder of it: it may be put anew there.
kj::Vector<Kept> foldersOf(kj::StringPtr path) {
  kj::Vector<Kept> folders;
  auto add = [&](kj::StringPtr folder, bool whole) {
    auto opened = openPath(folder, O_PATH | O_DIRECTORY);
    KJ_IF_MAYBE(fd, opened) folders.add(Kept{kj::mv(*fd), whole});
    return opened != nullptr;
  };
  Way way(path);
  if (!add(path, true)) add(folderOf(way.getEnd()), false);
  for (auto& holder: way.holders) add(holder, false);
  return folders;
}

// By which a volume and what is kept are compared.
struct Seen {
  Identity own;
  kj::Vector<Identity> way;
  kj::Maybe<FilePlace> place;
  kj::Vector<FilePlace> mounted;  // within it

  Seen(int folder, const Mounts& mounts, bool whole)
      : own(KJ_ASSERT_NONNULL(identify(folder))),
        way(wayUp(folder)),
        place(mounts.placeOf(folder)) {
    if (whole) mounted = mounts.within(folder);
  }

  bool holds(const Seen& other) const {
    if (contains(other.way, own)) return true;
    return reaches([&](const FilePlace& mine) {
      return other.reaches([&](const FilePlace& its) { return mine.holds(its); });
    });
  }

 private:
  template <typename Test>
  bool reaches(Test test) const {
    KJ_IF_MAYBE(p, place) {
      if (test(*p)) return true;
    }
    for (auto& each: mounted) {
      if (test(each)) return true;
    }
    return false;
  }
};

void requireApart(const Volume& volume, int folder, kj::StringPtr path) {
  auto mounts = Mounts::read();
  Seen seen(folder, mounts, true);
  for (auto& each: foldersOf(path)) {
    Seen kept(each.folder, mounts, each.whole);
    if (seen.holds(kept)) {
      refuse(volume, kj::str("the node keeps something to itself in it: ", path));
    }
    if (each.whole && kept.holds(seen)) {
      refuse(volume, kj::str("it is within what the node keeps to itself: ", path));
    }
  }
}

}  // namespace

kj::OneOf<Volume, kj::String> parseVolume(kj::StringPtr text) {
  bool writable = text.endsWith(":rw");
  auto place = kj::str(text);
  if (writable || text.endsWith(":ro")) place = kj::str(text.slice(0, text.size() - 3));
  // The guest's path has no colon in it; the host's may.
  KJ_IF_MAYBE(colon, place.findLast(':')) {
    auto host = kj::str(place.slice(0, *colon)), guest = kj::str(place.slice(*colon + 1));
    if (host.size() > 0) {
      while (guest.size() > 1 && guest.endsWith("/")) {
        guest = kj::str(guest.slice(0, guest.size() - 1));
      }
      KJ_IF_MAYBE(problem, findGuestProblem(guest)) {
        return kj::str(shorten(text), ": ", *problem, "; ", TO_DO);
      }
      return Volume{kj::mv(host), kj::mv(guest), writable};
    }
  }
  return kj::str(shorten(text), ": no volume; ", TO_DO);
}

kj::Vector<CellFolder> openVolumes(kj::ArrayPtr<const Volume> volumes,
                                   kj::ArrayPtr<const kj::StringPtr> kept) {
  kj::Vector<CellFolder> folders;
  kj::HashSet<kj::StringPtr> guests;
  for (auto& volume: volumes) {
    if (guests.contains(volume.guest)) {
      refuse(volume, kj::str(volume.guest, " in the cell is named twice"));
    }
    guests.insert(volume.guest);
    auto folder = openPath(volume.host, O_RDONLY | O_DIRECTORY);
    KJ_IF_MAYBE(f, folder) {
      for (auto path: kept) requireApart(volume, *f, path);
      folders.add(CellFolder{kj::mv(*f), kj::str(volume.guest), volume.writable, true});
    } else {
      refuse(volume, kj::str("cannot be opened as a folder (", strerror(errno), ")"));
    }
  }
  return folders;
}

kj::Vector<CellFolder> openAgain(kj::ArrayPtr<const CellFolder> folders) {
  kj::Vector<CellFolder> again(folders.size());
  for (auto& each: folders) {
    int fd;
    KJ_SYSCALL(fd = openat(each.folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), each.path);
    again.add(CellFolder{kj::AutoCloseFd(fd), kj::str(each.path), each.writable, each.foreign});
  }
  return again;
}

}  // namespace ww
