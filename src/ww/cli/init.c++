#include <ww/cli/init.h>

#include <errno.h>
#include <fcntl.h>
#include <filesystem>
#include <kj/io.h>
#include <kj/vector.h>
#include <string.h>
#include <string>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/cli/sdk.h>
#include <ww/cli/table.h>
#include <ww/cli/target.h>
#include <ww/cli/templates.h>

namespace ww {
namespace {

namespace fs = std::filesystem;

bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool isNamed(char c) { return isLetter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

[[noreturn]] void fail(const fs::path& path, kj::StringPtr what) {
  kj::throwFatalException(badInput(kj::str(path.c_str(), ": ", what)));
}

std::string fillIn(kj::StringPtr content, kj::StringPtr name) {
  std::string text(content.begin(), content.size());
  auto put = [&](std::string_view mark, kj::StringPtr value) {
    for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + value.size())) {
      text.replace(at, mark.size(), value.begin(), value.size());
    }
  };
  put("@NAME@", name);
  put("@VERSION@", WW_VERSION ""_kj);
  return text;
}

void write(const fs::path& path, const std::string& text) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) fail(path.parent_path(), kj::str("cannot be made (", error.message().c_str(), ")"));
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) fail(path, kj::str("cannot be written (", strerror(errno), ")"));
  kj::AutoCloseFd file(fd);
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
    kj::FdOutputStream(file.get()).write(text.data(), text.size());
  })) {
    fail(path, kj::str("cannot be written (", systemReason(*e), ")"));
  }
}

// The folder, made if there is none.
fs::path takeFolder(kj::StringPtr dir) {
  fs::path path(dir.cStr());
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail(path, kj::str("this folder cannot be made (", error.message().c_str(), ")"));
  path = fs::canonical(path, error);
  if (error) fail(dir.cStr(), kj::str("this folder is none (", error.message().c_str(), ")"));
  return path;
}

// Nothing is overwritten.
void requireRoom(const fs::path& folder, kj::ArrayPtr<const TemplateFile> files) {
  for (auto& file: files) {
    std::error_code error;
    auto path = folder / file.path.cStr();
    fs::path within = file.path.cStr();
    while (within.has_parent_path()) {
      within = within.parent_path();
      auto above = folder / within;
      if (!fs::is_symlink(fs::symlink_status(above, error))) continue;
      fail(above, "this is a symbolic link, and nothing is written through it: give another "
                  "folder");
    }
    if (fs::symlink_status(path, error).type() != fs::file_type::not_found) {
      fail(path, "this is there already, and is left as it is: give another folder");
    }
  }
}

}  // namespace

void requireNameForCMake(kj::StringPtr path) {
  if (strpbrk(path.cStr(), ";\"") == nullptr) return;
  fail(path.cStr(), "CMake builds in no folder with `;` or `\"` in its path: give another");
}

kj::String projectNameOf(kj::StringPtr path) {
  auto last = fs::path(path.cStr()).filename().string();
  kj::Vector<char> name;
  for (auto c: last) {
    if (name.empty() && !isLetter(c)) continue;
    name.add(isNamed(c) ? c : '-');
  }
  if (name.empty()) return kj::str("guest");
  return kj::heapString(name.asPtr());
}

void initProject(const InitOptions& options, Logger& logger) {
  auto files = options.rust ? rustProject() : cppProject();
  auto folder = takeFolder(options.dir);
  if (!options.rust) requireNameForCMake(folder.c_str());
  requireRoom(folder, files);
  auto name = projectNameOf(folder.c_str());
  for (auto& file: files) write(folder / file.path.cStr(), fillIn(file.content, name));
  if (options.rust) {
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { requireRustTarget(folder.c_str()); })) {
      logger.log(LogLevel::WARNING, "the project cannot be built on this machine yet",
                 {{"cause", kj::str(e->getDescription())}});
    }
  }
  auto line = options.json ? kj::str(JsonObject().add("project", kj::StringPtr(folder.c_str()))
                                         .add("name", name).toText(), '\n')
                           : kj::str(folder.c_str(), '\n');
  if (!print(line)) kj::throwFatalException(badInput("its name could not be written to stdout"));
}

}  // namespace ww
