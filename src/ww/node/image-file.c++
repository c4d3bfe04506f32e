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

kj::OneOf<kj::Array<kj::byte>, NoImage> readImage(kj::StringPtr path) {
  struct stat info;
  if (stat(path.cStr(), &info) < 0) {
    return NoImage{kj::str(path, ": no such image (", strerror(errno), ")")};
  }
  auto file = S_ISDIR(info.st_mode) ? kj::str(path, "/main.wasm") : kj::str(path);
  auto fd = openToRead(file);
  if (fd == nullptr) {
    return NoImage{S_ISDIR(info.st_mode)
        ? kj::str(path, ": this folder is no image: it has no readable main.wasm (",
                  strerror(errno), ")")
        : kj::str(path, ": cannot be read (", strerror(errno), ")")};
  }
  if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
    return NoImage{kj::str(file, ": not a plain file")};
  }
  if (uint64_t(info.st_size) > MAX_IMAGE_BYTES) {
    return NoImage{kj::str(file, ": of ", info.st_size, " bytes; the limit is ", MAX_IMAGE_BYTES)};
  }
  auto bytes = kj::heapArray<kj::byte>(info.st_size);
  auto n = kj::FdInputStream(fd.get()).tryRead(bytes.begin(), bytes.size(), bytes.size());
  if (n < bytes.size()) return kj::heapArray<kj::byte>(bytes.slice(0, n));
  return kj::mv(bytes);
}

}  // namespace ww
