#include <ww/node/host-layer.h>

#include <algorithm>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <kj/vector.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <ww/node/image-file.h>
#include <ww/node/image-tree.h>

namespace ww {
namespace {

constexpr size_t PIECE_BYTES = 256 << 10;
constexpr int TO_READ = O_RDONLY | O_NONBLOCK | O_CLOEXEC;  // a FIFO keeps nobody waiting

kj::StringPtr kindOf(mode_t mode) {
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device file"_kj;
  if (S_ISSOCK(mode)) return "a socket"_kj;
  if (S_ISFIFO(mode)) return "a FIFO"_kj;
  return "neither a file nor a folder"_kj;
}

// One walk through one folder, depth first, by names' bytes.
class Walk {
 public:
  Walk(kj::StringPtr layer, const TreeLimits& limits, TreeSink& sink)
      : layer(layer), limits(limits), sink(sink),
        buffer(kj::heapArray<kj::byte>(PIECE_BYTES)) {}

  void start() {
    int fd = open(layer.cStr(), TO_READ | O_DIRECTORY);
    if (fd < 0) refuse("", cannot("be read"));
    root = kj::AutoCloseFd(fd);
    walk(root, "");
  }

 private:
  struct Identity {
    dev_t device;
    ino_t number;
    bool operator==(const Identity& other) const {
      return device == other.device && number == other.number;
    }
  };

  const kj::StringPtr layer;
  const TreeLimits& limits;
  TreeSink& sink;
  kj::Array<kj::byte> buffer;
  kj::AutoCloseFd root;
  kj::Vector<Identity> above;  // the folders that are being walked
  uint64_t entries = 0, bytes = 0, pathBytes = 0;

  [[noreturn]] void refuse(kj::StringPtr path, kj::StringPtr what) {
    kj::throwFatalException(layerProblem(layer, path, what));
  }

  static kj::String cannot(kj::StringPtr what) {
    return kj::str("cannot ", what, " (", strerror(errno), ")");
  }

  void walk(int folder, kj::StringPtr path) {
    struct stat info;
    KJ_SYSCALL(fstat(folder, &info));
    Identity identity{info.st_dev, info.st_ino};
    for (auto& each: above) {
      if (each == identity) refuse(path, "a symbolic link to a folder that it is in: a circle");
    }
    above.add(identity);
    for (auto& name: list(folder, path)) {
      auto inner = path.size() == 0 ? kj::mv(name) : kj::str(path, '/', name);
      KJ_IF_MAYBE(problem, findPathProblem(inner, limits)) refuse(inner, *problem);
      if ((pathBytes += inner.size()) > limits.allPathBytes) {
        refuse(inner, kj::str("with this all paths have more than ", limits.allPathBytes,
                              " bytes, which is the limit"));
      }
      take(folder, inner);
    }
    above.removeLast();
  }

  kj::Vector<kj::String> list(int folder, kj::StringPtr path) {
    kj::Vector<kj::String> names;
    int copy = openat(folder, ".", TO_READ | O_DIRECTORY);
    if (copy < 0) refuse(path, cannot("be read"));
    DIR* dir = fdopendir(copy);
    if (dir == nullptr) close(copy);
    KJ_ASSERT(dir != nullptr, "fdopendir", strerror(errno));
    KJ_DEFER(closedir(dir));
    for (;;) {
      errno = 0;  // which alone tells the end from a failure
      auto entry = readdir(dir);
      if (entry == nullptr) break;
      kj::StringPtr name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (++entries > limits.entries) {
        refuse(path, kj::str("more than ", limits.entries, " files and folders"));
      }
      names.add(kj::str(name));
    }
    if (errno != 0) refuse(path, cannot("be read to its end"));
    std::sort(names.begin(), names.end());
    return names;
  }

  void take(int folder, kj::StringPtr path) {
    auto name = path.slice(path.findLast('/').map([](size_t i) { return i + 1; }).orDefault(0));
    struct stat info;
    if (fstatat(folder, name.cStr(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
      refuse(path, cannot("be read"));
    }
    if (S_ISLNK(info.st_mode)) return follow(path);
    requireKind(path, info.st_mode);
    // What has changed its kind since is seen again, as it is opened.
    int fd = openat(folder, name.cStr(), TO_READ | O_NOFOLLOW);
    if (fd < 0) refuse(path, cannot("be read"));
    take(kj::AutoCloseFd(fd), path);
  }

  void requireKind(kj::StringPtr path, mode_t mode) {
    if (!S_ISREG(mode) && !S_ISDIR(mode)) refuse(path, kindOf(mode));
  }

  void follow(kj::StringPtr path) {
    struct stat info;
    auto found = openBeneath(path, O_PATH | O_CLOEXEC);
    KJ_SYSCALL(fstat(found, &info));
    requireKind(path, info.st_mode);
    take(openBeneath(path, TO_READ), path);
  }

  kj::AutoCloseFd openBeneath(kj::StringPtr path, int flags) {
    struct open_how how = {};
    how.flags = flags;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    // Whatever is renamed anywhere meanwhile makes the kernel unsure of a `..` in a link.
    constexpr int MOST_TRIES = 1000;
    long fd = -1;
    for (int i = 0; fd < 0 && i < MOST_TRIES; i++) {
      fd = syscall(SYS_openat2, root.get(), path.cStr(), &how, sizeof(how));
      if (errno != EAGAIN && errno != EINTR) break;
    }
    if (fd >= 0) return kj::AutoCloseFd(int(fd));
    switch (errno) {
      case EXDEV: refuse(path, "a symbolic link that leads out of the layer");
      case ELOOP: refuse(path, "a symbolic link that leads in a circle");
      case ENOENT: refuse(path, "a symbolic link that leads nowhere");
      case ENOSYS: case EPERM:
        refuse(path, "a symbolic link, which this system cannot follow safely");
      default: refuse(path, cannot("be read"));
    }
  }

  void take(kj::AutoCloseFd fd, kj::StringPtr path) {
    struct stat info;
    KJ_SYSCALL(fstat(fd, &info));
    requireKind(path, info.st_mode);
    if (S_ISDIR(info.st_mode)) {
      sink.directory(path);
      return walk(fd, path);
    }
    requireRoom(path, uint64_t(info.st_size));  // before any of it is read
    sink.beginFile(path, (info.st_mode & 0111) != 0);
    for (;;) {
      auto n = ::read(fd, buffer.begin(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) refuse(path, cannot("be read"));
      if (n == 0) break;
      requireRoom(path, uint64_t(n));
      bytes += n;
      sink.piece(buffer.slice(0, n));
    }
    sink.endFile();
  }

  void requireRoom(kj::StringPtr path, uint64_t more) {
    if (more > limits.bytes - bytes) {
      refuse(path, kj::str("with this its files hold more than ", limits.bytes,
                           " bytes, which is the limit"));
    }
  }
};

}  // namespace

void readHostLayer(kj::StringPtr path, const TreeLimits& limits, TreeSink& sink) {
  struct stat info;
  if (stat(path.cStr(), &info) < 0) {
    kj::throwFatalException(layerProblem(path, "",
        kj::str("no such image (", strerror(errno), ")")));
  }
  if (S_ISDIR(info.st_mode)) return Walk(path, limits, sink).start();
  auto image = readImage(path);
  KJ_SWITCH_ONEOF(image) {
    KJ_CASE_ONEOF(none, NoImage) { kj::throwFatalException(noImage(none.problem)); }
    KJ_CASE_ONEOF(wasm, kj::Array<kj::byte>) { readComponentLayer(wasm, sink); }
  }
}

void readComponentLayer(kj::ArrayPtr<const kj::byte> wasm, TreeSink& sink) {
  sink.beginFile(MAIN_PLACES[0], false);
  sink.piece(wasm);
  sink.endFile();
}

}  // namespace ww
