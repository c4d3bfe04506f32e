#include <ww/cli/build.h>

#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <filesystem>
#include <fcntl.h>
#include <fstream>
#include <kj/vector.h>
#include <iterator>
#include <stdio.h>
#include <stdlib.h>
#include <string>
#include <vector>
#include <ww/base/error.h>
#include <ww/cli/init.h>
#include <ww/cli/sdk.h>
#include <ww/cli/table.h>
#include <ww/cli/target.h>
#include <ww/node/main-check.h>

namespace ww {
namespace {

namespace fs = std::filesystem;

constexpr const char* MAIN = "main.wasm";
constexpr const char* FOLDERS[] = {"etc", "lib"};
constexpr const char* PLACEHOLDER = ".gitkeep";  // of a folder that would be empty

// What CMakeLists.txt includes in a guest's project, and in no other.
constexpr const char* SDK_FILE = "ww-sdk.cmake";

[[noreturn]] void fail(const fs::path& path, kj::StringPtr what) {
  kj::throwFatalException(badInput(kj::str(path.c_str(), ": ", what)));
}

void check(const std::error_code& error, const fs::path& path, kj::StringPtr what) {
  if (error) fail(path, kj::str(what, " (", error.message().c_str(), ")"));
}

bool isThere(const fs::path& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() != fs::file_type::not_found;
}

void requireComponent(const fs::path& file) {
  kj::byte start[8] = {};
  std::ifstream in(file, std::ios::binary);
  in.read(reinterpret_cast<char*>(start), sizeof(start));
  if (!in || !isComponent(start)) {
    fail(file, "this is no component: the target has to be wasm32-wasip2, as .cargo/config.toml "
               "says in what `ww init --rust DIR` lays down");
  }
}

// What one image is put together in.
class ImageFolder {
 public:
  explicit ImageFolder(const fs::path& project)
      : place(project / "image"), part(project / ".image.part"), old(project / ".image.old") {
    requireOurs();
    clear(part);
    std::error_code error;
    fs::create_directory(part, error);
    check(error, part, "cannot be made");
  }
  ~ImageFolder() noexcept(false) {
    std::error_code error;
    fs::remove_all(part, error);
  }
  KJ_DISALLOW_COPY_AND_MOVE(ImageFolder);

  void addFile(const fs::path& from, const fs::path& to) {
    auto target = part / to;
    std::error_code error;
    fs::create_directories(target.parent_path(), error);
    check(error, target.parent_path(), "cannot be made");
    if (isThere(target)) fail(from, kj::str("the image has another ", to.c_str(), " already"));
    fs::copy_file(from, target, error);
    check(error, from, "cannot be copied into the image");
  }

  // As what is within it, this one is no link.
  void addOwnFolder(const fs::path& from, const fs::path& to) {
    std::error_code error;
    if (!fs::is_directory(fs::symlink_status(from, error))) fail(from, "this is no folder");
    addFolder(from, to);
  }

  void addFolder(const fs::path& from, const fs::path& to) {
    std::error_code error;
    fs::create_directories(part / to, error);
    check(error, part / to, "cannot be made");
    for (fs::directory_iterator entries(from, error), end; !error && entries != end;
         entries.increment(error)) {
      auto& path = entries->path();
      if (path.filename() == PLACEHOLDER) continue;
      auto type = entries->symlink_status(error).type();
      if (type == fs::file_type::directory) {
        addFolder(path, to / path.filename());
      } else if (type == fs::file_type::regular) {
        addFile(path, to / path.filename());
      } else {
        fail(path, "an image holds plain files and folders, and this is neither");
      }
    }
    check(error, from, "cannot be read");
  }

  // In the place of the last one, which is there until this is.
  void put() {
    if (!isThere(part / MAIN)) {
      fail(part.parent_path(), "nothing in this project is called `main`, so that its image has no "
                               "main.wasm");
    }
    bool isFirst = !isThere(place);
    if (!isFirst && exchange()) return;
    std::error_code error;
    if (!isFirst) {  // on a file system that cannot exchange two
      clear(old);
      fs::rename(place, old, error);
      check(error, place, "cannot be replaced");
    }
    fs::rename(part, place, error);
    if (error && !isFirst) rename(old.c_str(), place.c_str());
    check(error, place, "cannot be made");
    clear(old);
  }

  const fs::path& getPlace() const { return place; }

 private:
  const fs::path place, part, old;

  bool exchange() const {
    auto code = renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, place.c_str(), RENAME_EXCHANGE);
    if (code == 0) return true;
    if (errno == EINVAL || errno == ENOSYS || errno == EXDEV) return false;
    check(std::error_code(errno, std::generic_category()), place, "cannot be replaced");
    return false;
  }

  static void clear(const fs::path& path) {
    std::error_code error;
    fs::remove_all(path, error);
    check(error, path, "cannot be removed");
  }

  // What else is in there would be lost.
  void requireOurs() const {
    if (!isThere(place)) return;
    std::error_code error;
    if (!fs::is_directory(place, error)) fail(place, "is in the way: move it elsewhere");
    for (auto& entry: fs::directory_iterator(place, error)) {
      auto name = entry.path().filename();
      if (name != MAIN && name != FOLDERS[0] && name != FOLDERS[1]) {
        fail(entry.path(), "`ww build` did not make this, and would remove it: move it elsewhere; "
                           "what is for the image goes into etc or lib");
      }
    }
    check(error, place, "cannot be read");
  }
};

// Where CMake builds: a folder that this made, and nobody else. It has a file which says for which
// project and with which SDK it was configured; CMake would keep what it was configured with.
class BuildFolder {
 public:
  explicit BuildFolder(const fs::path& project)
      : project(project), place(project / "build"), stamp(place / ".ww-sdk") {
    requireOurs();
  }

  bool isFor(kj::StringPtr sdk) const {
    return isThere(place / "build.ninja") && read() == textFor(sdk);
  }
  // Before anything else is in there.
  void begin() const {
    std::error_code error;
    fs::create_directories(place, error);
    check(error, place, "cannot be made");
    write("");
  }
  void finish(kj::StringPtr sdk) const { write(textFor(sdk)); }

  fs::path getComponents() const { return place / "components"; }

 private:
  const fs::path project, place, stamp;

  void requireOurs() const {
    std::error_code error;
    if (!isThere(place)) return;
    if (isThere(stamp)) return requireNoOther();
    bool isEmpty = fs::is_directory(place, error) && fs::is_empty(place, error);
    if (isEmpty && !error) return;
    fail(place, "`ww build` did not make this, and builds there: move it elsewhere");
  }
  // As where it is a link. A project that was copied, or moved, has its own.
  void requireNoOther() const {
    std::ifstream in(stamp);
    std::string sdk, other;
    std::getline(in, sdk);
    std::getline(in, other);
    std::error_code error;
    bool isShared = !other.empty() && fs::equivalent(fs::path(other) / "build", place, error) &&
                    !fs::equivalent(other, project, error);
    if (!isShared) return;
    fail(place, kj::str("this is where ", other.c_str(), " is built: move it elsewhere"));
  }
  std::string textFor(kj::StringPtr sdk) const {
    return std::string(sdk.cStr()) + "\n" + project.string() + "\n";
  }
  std::string read() const {
    std::ifstream in(stamp);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  void write(const std::string& text) const {
    std::ofstream out(stamp);
    out << text;
    if (!out.flush()) fail(stamp, "cannot be written");
  }
};

fs::path componentsOfCpp(const fs::path& project, const BuildOptions& options) {
  requireNameForCMake(project.c_str());
  BuildFolder build(project);
  auto sdk = findSdk(options.sdk);
  requireCppCompiler();
  bool isSame = build.isFor(sdk);
  std::vector<kj::String> words;
  for (auto word: {"cmake", "--log-level=WARNING", "-S", ".", "-B", "build", "-G", "Ninja"}) {
    words.push_back(kj::str(word));
  }
  words.push_back(kj::str("-DCMAKE_TOOLCHAIN_FILE=", sdk, "/cmake/wasm32-wasi.cmake"));
  words.push_back(kj::str("-DWW_SDK=", sdk));
  if (!isSame) {
    words.push_back(kj::str("--fresh"));
    build.begin();
  }
  runProgram(kj::arrayPtr(words.data(), words.size()), project.c_str());
  build.finish(sdk);
  // What was made for a guest that there is no longer.
  runProgram(kj::arr(kj::str("ninja"), kj::str("-C"), kj::str("build"), kj::str("-t"),
                     kj::str("cleandead")), project.c_str());
  runProgram(kj::arr(kj::str("cmake"), kj::str("--build"), kj::str("build")), project.c_str());
  return build.getComponents();
}

// The executables that cargo says it made, a JSON object a line.
std::vector<fs::path> executablesOf(kj::StringPtr messages) {
  std::vector<fs::path> found;
  std::string rest = messages.cStr();
  for (size_t begin = 0; begin < rest.size();) {
    auto end = kj::min(rest.find('\n', begin), rest.size());
    auto line = rest.substr(begin, end - begin);
    begin = end + 1;
    if (line.find("\"compiler-artifact\"") == line.npos) continue;
    capnp::MallocMessageBuilder message;
    auto root = message.initRoot<capnp::json::Value>();
    capnp::JsonCodec().decodeRaw(kj::arrayPtr(line.data(), line.size()), root);
    capnp::json::Value::Reader read = root.asReader();
    if (!read.isObject()) continue;
    for (auto field: read.getObject()) {
      if (field.getName() == "executable" && field.getValue().isString()) {
        found.emplace_back(field.getValue().getString().cStr());
      }
    }
  }
  return found;
}

// The program called `main` is the image's, or the only one that there is; others go into lib.
void addRust(ImageFolder& image, const fs::path& project, const BuildOptions& options) {
  auto sdk = findSdk(options.sdk);
  kj::String messages;
  auto words = kj::arr(kj::str("cargo"), kj::str("build"), kj::str("--release"),
                       kj::str("--message-format=json-render-diagnostics"));
  // Cargo would find out after minutes. Who chooses a target or a compiler has seen to it.
  bool isChosen = getenv("CARGO_BUILD_TARGET") != nullptr || getenv("RUSTC") != nullptr;
  if (!isChosen) requireRustTarget(project.c_str());
  runProgram(words, project.c_str(), kj::arr(kj::str("WW_SDK=", sdk)), messages);
  auto made = executablesOf(messages);
  if (made.empty()) fail(project, "cargo made no program: there has to be a src/main.rs");
  for (auto& file: made) {
    requireComponent(file);
    bool isMain = made.size() == 1 || file.stem() == "main";
    image.addFile(file, isMain ? fs::path(MAIN) : "lib" / file.filename());
  }
}

void addCpp(ImageFolder& image, const fs::path& project, const BuildOptions& options) {
  auto components = componentsOfCpp(project, options);
  std::error_code error;
  for (auto& entry: fs::directory_iterator(components, error)) {
    auto& file = entry.path();
    if (file.extension() != ".wasm") continue;
    image.addFile(file, file.filename() == MAIN ? fs::path(MAIN) : "lib" / file.filename());
  }
  check(error, components, "cannot be read");
}

// Nobody else's project is configured anew.
void requireGuests(const fs::path& file) {
  if (!isThere(file)) return;
  std::ifstream in(file);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (text.find(SDK_FILE) != text.npos) return;
  fail(file, kj::str("this is no project of a guest's: it does not include ", SDK_FILE, ", as what "
                     "`ww init DIR` lays down does"));
}

fs::path requireProject(kj::StringPtr dir) {
  std::error_code error;
  auto path = fs::canonical(dir.cStr(), error);
  if (error) fail(dir.cStr(), kj::str("there is no such folder (", error.message().c_str(), ")"));
  if (!isThere(path / "CMakeLists.txt") && !isThere(path / "Cargo.toml")) {
    fail(path, "this folder is no project: it has neither CMakeLists.txt nor Cargo.toml. "
               "`ww init DIR` makes one");
  }
  requireGuests(path / "CMakeLists.txt");
  return path;
}

void say(kj::StringPtr line) {
  if (!print(line)) kj::throwFatalException(badInput("stdout takes nothing"));
}

}  // namespace

void buildImage(const BuildOptions& options) {
  auto project = requireProject(options.dir);
  ImageFolder image(project);
  if (isThere(project / "CMakeLists.txt")) {
    addCpp(image, project, options);
  } else {
    addRust(image, project, options);
  }
  for (auto folder: FOLDERS) {
    if (isThere(project / folder)) image.addOwnFolder(project / folder, folder);
  }
  image.put();
  auto main = image.getPlace() / MAIN;
  std::error_code error;
  auto bytes = fs::file_size(main, error);
  check(error, main, "cannot be read");
  kj::StringPtr place = image.getPlace().c_str();
  say(options.json ? kj::str(JsonObject().add("image", place).add("mainBytes", uint64_t(bytes))
                                 .toText(), '\n')
                   : kj::str(place, '\n'));
}

void printSdkPath(const SdkPathOptions& options) {
  auto sdk = findSdk(options.sdk);
  say(options.json ? kj::str(JsonObject().add("sdk", sdk).toText(), '\n') : kj::str(sdk, '\n'));
}

}  // namespace ww
