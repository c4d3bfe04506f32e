#include <ww/image/file-stream.h>

namespace ww {

kj::Promise<size_t> FileInput::tryRead(void* buffer, size_t minBytes, size_t maxBytes) {
  size_t got = 0;
  while (got < minBytes) {
    auto rest = kj::arrayPtr(static_cast<kj::byte*>(buffer), maxBytes).slice(got, maxBytes);
    auto more = file->read(offset, rest);
    if (more == 0) break;
    got += more;
    offset += more;
  }
  return got;
}

kj::Promise<void> SyncOutput::write(const void* buffer, size_t size) {
  out.write(buffer, size);
  return kj::READY_NOW;
}

kj::Promise<void> SyncOutput::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  out.write(pieces);
  return kj::READY_NOW;
}

}  // namespace ww
