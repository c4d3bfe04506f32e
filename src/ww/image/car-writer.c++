#include <ww/image/car-writer.h>

#include <ww/image/dag.h>

namespace ww {
namespace {

// As a number is written there; at most ten bytes.
kj::ArrayPtr<const kj::byte> varint(uint64_t value, kj::byte (&buffer)[10]) {
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) buffer[size++] = kj::byte(value) | 0x80;
  buffer[size++] = kj::byte(value);
  return kj::arrayPtr(buffer, size);
}

class CarWriter {
 public:
  CarWriter(BlockFetcher& blocks, const TreeLimits& limits, kj::AsyncOutputStream& out)
      : walk(blocks, limits), out(out), hold(walk, "") {}

  kj::Promise<CarWritten> write(const Cid& root) {
    kj::ArrayPtr<const kj::byte> roots[] = { root.getBytes() };
    auto header = ffi::encodeCarHeader(roots);
    co_await writeSection(nullptr, header);
    push(root.clone());
    while (!pending.empty()) {
      auto cid = kj::mv(pending.back());
      pending.removeLast();
      hold.drop(EACH_BYTES);
      if (!written.contains(cid)) co_await writeBlock(kj::mv(cid));
    }
    co_return result;
  }

 private:
  static constexpr size_t EACH_BYTES = 256;  // that a content id takes here, or less

  void push(Cid cid) {
    hold.add(EACH_BYTES);
    pending.add(kj::mv(cid));
  }

  kj::Promise<void> writeBlock(Cid cid) {
    auto block = co_await walk.get("", cid);
    if (cid.findIdentity() == nullptr) {
      co_await writeSection(cid.getBytes(), block);
      ++result.blocks;
    }
    auto read = readDagBlock("", cid, kj::mv(block));
    hold.add(EACH_BYTES);
    written.insert(kj::mv(cid));
    KJ_IF_MAYBE(node, read.tryGet<ffi::Node>()) {
      auto& links = node->getParts().links;
      for (size_t i = links.size(); i-- > 0;) push(Cid::fromBytes(links[i].cid));
    }
  }

  kj::Promise<void> writeSection(kj::ArrayPtr<const kj::byte> cid,
                                 kj::ArrayPtr<const kj::byte> block) {
    kj::byte buffer[10];
    auto length = varint(cid.size() + block.size(), buffer);
    kj::ArrayPtr<const kj::byte> pieces[] = { length, cid, block };
    result.bytes += length.size() + cid.size() + block.size();
    co_await out.write(pieces);
  }

  DagWalk walk;
  kj::AsyncOutputStream& out;
  DagWalk::Hold hold;
  kj::Vector<Cid> pending;  // the next one last
  kj::HashSet<Cid> written;
  CarWritten result;
};

kj::Promise<CarWritten> write(BlockFetcher& blocks, Cid root, TreeLimits limits,
                              kj::AsyncOutputStream& out) {
  CarWriter writer(blocks, limits, out);
  co_return co_await writer.write(root);
}

}  // namespace

kj::Promise<CarWritten> writeCar(BlockFetcher& blocks, const Cid& root, const TreeLimits& limits,
                                 kj::AsyncOutputStream& out) {
  return write(blocks, root.clone(), limits, out);
}

}  // namespace ww
