#pragma once
// Files where a stream is asked for, as regular files have no event to wait for.

#include <kj/async-io.h>
#include <kj/filesystem.h>

namespace ww {

// A file from its beginning. Each read is one of the file's; what is appended meanwhile is read
// too.
class FileInput final: public kj::AsyncInputStream {
 public:
  explicit FileInput(kj::Own<const kj::ReadableFile> file): file(kj::mv(file)) {}

  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override;

 private:
  kj::Own<const kj::ReadableFile> file;
  uint64_t offset = 0;
};

// What takes bytes at once: a file, a vector. It outlives this.
class SyncOutput final: public kj::AsyncOutputStream {
 public:
  explicit SyncOutput(kj::OutputStream& out): out(out) {}

  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }

 private:
  kj::OutputStream& out;
};

}  // namespace ww
