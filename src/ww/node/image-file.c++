#include <ww/node/image-file.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ww {
namespace {

// Beyond this a file is no component that anybody compiled.
constexpr uint64_t MAX_IMAGE_BYTES = uint64_t(256) << 20;

kj::AutoCloseFd openToRead(kj::StringPtr path) {
  // Without blocking: a FIFO must not keep the node waiting for its writer.
  int fd = open(path.cStr(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  return fd < 0 ? kj::AutoCloseFd() : kj::AutoCloseFd(fd);
}

}  // namespace

kj::OneOf<kj::Array<kj::byte>, NoImage> readComponent(kj::AutoCloseFd file, kj::StringPtr name) {
  struct stat info;
  if (fstat(file, &info) < 0 || !S_ISREG(info.st_mode)) {
    return NoImage{kj::str(name, ": not a plain file")};
  }
  if (uint64_t(info.st_size) > MAX_IMAGE_BYTES) {
    return NoImage{kj::str(name, ": of ", info.st_size, " bytes; the limit is ", MAX_IMAGE_BYTES)};
  }
  auto bytes = kj::heapArray<kj::byte>(info.st_size);
  auto n = kj::FdInputStream(file.get()).tryRead(bytes.begin(), bytes.size(), bytes.size());
  if (n < bytes.size()) return kj::heapArray<kj::byte>(bytes.slice(0, n));
  return kj::mv(bytes);
}

kj::OneOf<kj::Array<kj::byte>, NoImage> readImage(kj::StringPtr path) {
  struct stat info;
  if (stat(path.cStr(), &info) < 0) {
    return NoImage{kj::str(path, ": no such file or folder (", strerror(errno), ")")};
  }
  if (!S_ISDIR(info.st_mode)) {
    auto file = openToRead(path);
    if (file == nullptr) return NoImage{kj::str(path, ": cannot be read (", strerror(errno), ")")};
    return readComponent(kj::mv(file), path);
  }
  for (auto place: MAIN_PLACES) {
    auto name = kj::str(path, "/", place);
    auto file = openToRead(name);
    if (file != nullptr) return readComponent(kj::mv(file), name);
    if (errno != ENOENT && errno != ENOTDIR) {
      return NoImage{kj::str(name, ": cannot be read (", strerror(errno), ")")};
    }
  }
  return NoImage{kj::str(path, ": this folder is no image: it has neither ", MAIN_PLACES[0],
                         " nor ", MAIN_PLACES[1])};
}

}  // namespace ww
