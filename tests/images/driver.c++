// images-driver: content addresses as a program, for tests against others' and for figures.
//
//   import DIR CAR [chunk=N] [links=N] [directory=N]   the tree in DIR as a CAR file
//   export CAR DIR                                     the tree in CAR, which DIR is made for
//
// Each prints the root's content id. With --disk before it, blocks are in a folder, CAR.blocks,
// so that memory does not grow with the tree.
#include <algorithm>
#include <kj/debug.h>
#include <kj/filesystem.h>
#include <kj/main.h>
#include <stdlib.h>
#include <ww/image/car-reader.h>
#include <ww/image/car-writer.h>
#include <ww/image/file-stream.h>
#include <ww/image/importer.h>

namespace ww {
namespace {

// A block a file. Not atomic: a test's.
class FolderStore final: public BlockStore {
 public:
  explicit FolderStore(kj::Own<const kj::Directory> folder): folder(kj::mv(folder)) {}

  kj::Maybe<kj::Array<const kj::byte>> find(const Cid& cid) override {
    KJ_IF_MAYBE(file, folder->tryOpenFile(kj::Path(cid.toText()))) {
      return kj::Array<const kj::byte>((*file)->readAllBytes());
    }
    return nullptr;
  }
  void put(const Cid& cid, kj::ArrayPtr<const kj::byte> block) override {
    folder->openFile(kj::Path(cid.toText()), kj::WriteMode::CREATE | kj::WriteMode::MODIFY)
        ->writeAll(block);
  }

 private:
  kj::Own<const kj::Directory> folder;
};

// Writes a tree to a directory.
class FolderSink final: public TreeSink {
 public:
  explicit FolderSink(const kj::Directory& to): to(to) {}

  void directory(kj::StringPtr path) override {
    to.openSubdir(kj::Path::parse(path), kj::WriteMode::CREATE);
  }
  void beginFile(kj::StringPtr path, bool) override {
    file = to.appendFile(kj::Path::parse(path), kj::WriteMode::CREATE);
  }
  void piece(kj::ArrayPtr<const kj::byte> bytes) override {
    KJ_ASSERT_NONNULL(file)->write(bytes.begin(), bytes.size());
  }
  void endFile() override { file = nullptr; }

 private:
  const kj::Directory& to;
  kj::Maybe<kj::Own<kj::AppendableFile>> file;
};

void importFile(Importer& importer, kj::StringPtr path, const kj::ReadableFile& file) {
  importer.beginFile(path, false);
  auto buffer = kj::heapArray<kj::byte>(100000);
  for (uint64_t at = 0;;) {
    auto size = file.read(at, buffer);
    if (size == 0) break;
    importer.piece(buffer.slice(0, size));
    at += size;
  }
  importer.endFile();
}

void importTree(Importer& importer, kj::StringPtr path, const kj::ReadableDirectory& dir) {
  for (auto& entry: dir.listEntries()) {
    auto child = path == nullptr ? kj::str(entry.name) : kj::str(path, "/", entry.name);
    if (entry.type == kj::FsNode::Type::DIRECTORY) {
      importer.directory(child);
      importTree(importer, child, *dir.openSubdir(kj::Path(entry.name)));
    } else {
      importFile(importer, child, *dir.openFile(kj::Path(entry.name)));
    }
  }
}

class Driver {
 public:
  explicit Driver(kj::ArrayPtr<char*> all): words(all) {
    onDisk = words.size() > 0 && words[0] == "--disk"_kj;
    if (onDisk) words = words.slice(1, words.size());
  }

  kj::String run() {
    KJ_REQUIRE(words.size() >= 3, "import DIR CAR, or export CAR DIR");
    kj::StringPtr command = words[0];
    return command == "import" ? importCar(words[1], words[2]) : exportCar(words[1], words[2]);
  }

 private:
  kj::Path pathOf(kj::StringPtr name) { return fs->getCurrentPath().evalNative(name); }

  kj::Own<BlockStore> storeBeside(kj::StringPtr car) {
    if (!onDisk) return kj::heap<MemoryBlockStore>();
    return kj::heap<FolderStore>(root().openSubdir(
        pathOf(kj::str(car, ".blocks")), kj::WriteMode::CREATE | kj::WriteMode::MODIFY));
  }
  const kj::Directory& root() { return fs->getRoot(); }

  kj::String importCar(kj::StringPtr dir, kj::StringPtr car) {
    auto kept = storeBeside(car);
    auto& store = *kept;
    ImportShape shape;
    for (auto word: words.slice(3, words.size())) {
      kj::StringPtr text = word;
      auto equals = KJ_REQUIRE_NONNULL(text.findFirst('='), text);
      auto value = text.slice(equals + 1).parseAs<size_t>();
      (text.startsWith("chunk=") ? shape.chunkBytes
       : text.startsWith("links=") ? shape.fileLinks : shape.directoryBytes) = value;
    }
    Importer importer(store, shape);
    importTree(importer, "", *root().openSubdir(pathOf(dir)));
    auto cid = importer.finish();
    BlockFetcher blocks(store, nullptr, logger);
    auto file = root().appendFile(pathOf(car), kj::WriteMode::CREATE);
    SyncOutput out(*file);
    writeCar(blocks, cid, limits, out).wait(waitScope);
    return cid.toText();
  }

  kj::String exportCar(kj::StringPtr car, kj::StringPtr dir) {
    auto kept = storeBeside(car);
    auto& store = *kept;
    FileInput in(root().openFile(pathOf(car)));
    CarLimits carLimits;
    auto summary = readCar(in, car, carLimits, store).wait(waitScope);
    KJ_REQUIRE(summary.roots.size() == 1, summary.roots.size());
    auto to = root().openSubdir(pathOf(dir), kj::WriteMode::CREATE | kj::WriteMode::MODIFY);
    FolderSink sink(*to);
    BlockFetcher blocks(store, nullptr, logger);
    readTree(blocks, summary.roots[0], limits, sink).wait(waitScope);
    return summary.roots[0].toText();
  }

  kj::ArrayPtr<char*> words;
  bool onDisk;
  kj::Own<kj::Filesystem> fs = kj::newDiskFilesystem();
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  MemoryLogger logger;
  TreeLimits limits;
};

}  // namespace
}  // namespace ww

int main(int argc, char* argv[]) {
  ww::Driver driver(kj::arrayPtr(argv + 1, argc - 1));
  kj::String line;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { line = driver.run(); })) {
    kj::FdOutputStream(2).write(kj::str(e->getDescription(), "\n").asBytes().begin(),
                                e->getDescription().size() + 1);
    return 1;
  }
  auto bytes = kj::str(line, "\n");
  kj::FdOutputStream(1).write(bytes.begin(), bytes.size());
  return 0;
}
