#pragma once
// A folder for one test, removed with it.

#include <filesystem>
#include <kj/debug.h>
#include <kj/filesystem.h>
#include <kj/string.h>
#include <stdlib.h>
#include <sys/stat.h>

namespace ww {

class TempFolder {
 public:
  TempFolder() {
    auto name = std::filesystem::temp_directory_path() / "ww-test-XXXXXX";
    path = kj::str(name.c_str());
    KJ_ASSERT(mkdtemp(path.begin()) != nullptr);
  }
  ~TempFolder() noexcept(false) { root().remove(place("")); }
  KJ_DISALLOW_COPY_AND_MOVE(TempFolder);

  kj::String at(kj::StringPtr name) const { return kj::str(path, "/", name); }

  void write(kj::StringPtr name, kj::StringPtr content, mode_t mode = 0600) {
    root().openFile(place(name), kj::WriteMode::CREATE | kj::WriteMode::MODIFY |
                                     kj::WriteMode::CREATE_PARENT)->writeAll(content);
    KJ_SYSCALL(chmod(at(name).cStr(), mode));
  }
  kj::String read(kj::StringPtr name) { return root().openFile(place(name))->readAllText(); }
  kj::Array<kj::String> list(kj::StringPtr name) {
    return root().openSubdir(place(name))->listNames();
  }
  mode_t mode(kj::StringPtr name) {
    struct stat info;
    KJ_SYSCALL(stat(at(name).cStr(), &info));
    return info.st_mode & 07777;
  }

 private:
  kj::Own<kj::Filesystem> disk = kj::newDiskFilesystem();
  kj::String path;

  const kj::Directory& root() { return disk->getRoot(); }
  kj::Path place(kj::StringPtr name) {
    auto base = kj::Path(nullptr).eval(path.slice(1));
    return name.size() == 0 ? kj::mv(base) : base.eval(name);
  }
};

}  // namespace ww
