#pragma once
// DAGs by hand, and what a walk over one gave. For the tests of this room.

#include <kj/async.h>
#include <kj/map.h>
#include <string.h>
#include <ww/ffi/content.h>
#include <ww/image/importer.h>
#include <ww/image/tree.h>

namespace ww {

inline kj::ArrayPtr<const kj::byte> operator""_bytes(const char* text, size_t size) {
  return kj::arrayPtr(text, size).asBytes();
}

inline bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

// Keeps a tree as lines: `dir/`, `file=bytes`, `file*=bytes` of an executable; of long files, how
// many bytes and a hash.
class ListingSink final: public TreeSink {
 public:
  void directory(kj::StringPtr path) override { lines.add(kj::str(path, "/")); }
  void beginFile(kj::StringPtr path, bool executable) override {
    name = kj::str(path, executable ? "*=" : "=");
  }
  void piece(kj::ArrayPtr<const kj::byte> bytes) override {
    content.addAll(bytes);
    most = kj::max(most, bytes.size());
  }
  void endFile() override {
    lines.add(content.size() <= 64
        ? kj::str(name, content.asPtr().asChars())
        : kj::str(name, content.size(), " bytes, ", Cid::of(Cid::RAW, content).toText()));
    content.clear();
  }

  kj::String text() const { return kj::strArray(lines, "\n"); }
  size_t count() const { return lines.size(); }
  size_t largestPiece() const { return most; }

 private:
  kj::Vector<kj::String> lines;
  kj::String name;
  kj::Vector<kj::byte> content;
  size_t most = 0;
};

// A tree into a sink.
struct DagWorld {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  MemoryBlockStore store;
  MemoryLogger logger;
  BlockFetcher blocks{store, nullptr, logger};
  TreeLimits limits;

  Cid put(uint64_t codec, kj::ArrayPtr<const kj::byte> block) {
    auto cid = Cid::of(codec, block);
    store.put(cid, block);
    return cid;
  }
  Cid put(const ffi::NodeParts& parts) { return put(Cid::DAG_PB, ffi::encodeNode(parts)); }
  Cid raw(kj::StringPtr text) { return put(Cid::RAW, text.asBytes()); }

  struct Named {
    kj::StringPtr name;
    const Cid& cid;
  };
  Cid directory(std::initializer_list<Named> entries, ffi::NodeParts parts = {}) {
    kj::Vector<ffi::Link> links;
    for (auto& e: entries) links.add(ffi::Link { e.name.asArray(), e.cid.getBytes(), 1 });
    if (parts.kind == ffi::NodeKind::RAW) parts.kind = ffi::NodeKind::DIRECTORY;
    parts.links = links;
    return put(parts);
  }

  // Of parts, each with the size that it is said to have.
  struct Part {
    const Cid& cid;
    uint64_t size;
  };
  Cid file(std::initializer_list<Part> parts, kj::Maybe<uint64_t> fileSize = nullptr,
           kj::StringPtr inner = nullptr) {
    kj::Vector<ffi::Link> links;
    kj::Vector<uint64_t> sizes;
    for (auto& p: parts) {
      links.add(ffi::Link { nullptr, p.cid.getBytes(), p.size });
      sizes.add(p.size);
    }
    ffi::NodeParts node { .kind = ffi::NodeKind::FILE, .fileSize = fileSize, .blockSizes = sizes,
                          .links = links };
    if (inner != nullptr) node.data = inner.asBytes();
    return put(node);
  }

  kj::String read(const Cid& root) {
    ListingSink sink;
    readTree(blocks, root, limits, sink).wait(waitScope);
    return sink.text();
  }
  kj::String resolve(const Cid& root, kj::StringPtr path) {
    return resolvePath(blocks, root, path).wait(waitScope).toText();
  }
};

// The bytes of a file that is unlike any other.
inline kj::Array<kj::byte> noise(size_t size, uint64_t seed = 1) {
  auto bytes = kj::heapArray<kj::byte>(size);
  for (auto& byte: bytes) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    byte = seed >> 56;
  }
  return bytes;
}

}  // namespace ww
