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

namespace ww {
namespace {

constexpr kj::StringPtr TO_DO = "it takes HOST:GUEST, or HOST:GUEST:rw to write to it"_kj;

[[noreturn]] void refuse(const Volume& volume, kj::StringPtr what) {
  kj::throwFatalException(badInput(kj::str("the volume ", volume.host, ": ", what)));
}

kj::Maybe<kj::String> findGuestProblem(kj::StringPtr guest) {
  if (!guest.startsWith("/")) return kj::str("the path in the cell is not absolute");
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
kj::Vector<Identity> wayUp(kj::AutoCloseFd fd) {
  kj::Vector<Identity> way;
  for (;;) {
    auto here = KJ_ASSERT_NONNULL(identify(fd));
    if (way.size() > 0 && way.back() == here) return way;
    way.add(here);
    int above = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    KJ_REQUIRE(above >= 0, "cannot look above a folder", strerror(errno));
    fd = kj::AutoCloseFd(above);
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

kj::String folderOf(kj::StringPtr file) {
  KJ_IF_MAYBE(slash, file.findLast('/')) {
    return *slash == 0 ? kj::str("/") : kj::str(file.slice(0, *slash));
  }
  return kj::str(".");
}

// What is kept where it is a folder; of a file, the folders of it and of what it is a link to: a
// file may be put anew there.
kj::Vector<kj::AutoCloseFd> foldersOf(kj::StringPtr kept) {
  kj::Vector<kj::AutoCloseFd> folders;
  auto add = [&](kj::StringPtr path) {
    auto folder = openPath(path, O_PATH | O_DIRECTORY);
    KJ_IF_MAYBE(f, folder) folders.add(kj::mv(*f));
    return folder != nullptr;
  };
  if (add(kept)) return folders;
  add(folderOf(kept));
  char real[PATH_MAX];
  if (realpath(kept.cStr(), real) != nullptr) add(folderOf(real));
  return folders;
}

void requireApart(const Volume& volume, int folder, kj::StringPtr kept) {
  auto own = KJ_ASSERT_NONNULL(identify(folder));
  auto above = wayUp(KJ_ASSERT_NONNULL(openPath(kj::str("/proc/self/fd/", folder),
                                                O_PATH | O_DIRECTORY)));
  for (auto& keptFolder: foldersOf(kept)) {
    auto keptWay = wayUp(kj::mv(keptFolder));
    if (contains(keptWay, own)) {
      refuse(volume, kj::str("the node keeps something to itself in it: ", kept));
    }
    if (contains(above, keptWay[0])) {
      refuse(volume, kj::str("it is within what the node keeps to itself: ", kept));
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
