#include <ww/image/car-writer.h>

#include <string.h>
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

// Which block was written: its hash, and the codec and the rest that its content id begins with. Of
// one that is no identity.
struct WrittenBlock {
  explicit WrittenBlock(const Cid& cid) {
    auto all = cid.getBytes();
    auto size = all.size() - sizeof(digest);
    memcpy(digest, all.begin() + size, sizeof(digest));
    beginning[0] = kj::byte(size);
    memcpy(beginning + 1, all.begin(), kj::min(size, sizeof(beginning) - 1));
  }
  bool operator==(const WrittenBlock& other) const {
    return memcmp(this, &other, sizeof(*this)) == 0;
  }
  kj::uint hashCode() const { return kj::hashCode(kj::arrayPtr(digest, sizeof(digest))); }

  kj::byte digest[32];
  kj::byte beginning[8] = {};  // its size, and as much of it as the codecs that are read take
};
static_assert(sizeof(WrittenBlock) == 40);

class CarWriter {
 public:
  CarWriter(BlockFetcher& blocks, const TreeLimits& limits, kj::AsyncOutputStream& out)
      : walk(blocks, limits), out(out), hold(walk, ""),
        mostWritten(limits.heldBytes / CAR_WRITTEN_BYTES) {}

  kj::Promise<CarWritten> write(const Cid& root) {
    kj::ArrayPtr<const kj::byte> roots[] = { root.getBytes() };
    auto header = ffi::encodeCarHeader(roots);
    co_await writeSection(nullptr, header);
    push(root.clone());
    while (!pending.empty()) {
      auto cid = kj::mv(pending.back());
      pending.removeLast();
      hold.drop(heldBy(cid));
      if (!wasWritten(cid)) co_await writeBlock(kj::mv(cid));
    }
    co_return result;
  }

 private:
  static constexpr size_t MALLOC_BYTES = 32;  // what the allocator adds to each
  static size_t heldBy(const Cid& cid) {
    return sizeof(Cid) + cid.getBytes().size() + MALLOC_BYTES;
  }

  bool wasWritten(const Cid& cid) const {
    return cid.findIdentity() == nullptr && written.contains(WrittenBlock(cid));
  }

  void push(Cid cid) {
    hold.add(heldBy(cid));
    pending.add(kj::mv(cid));
  }

  kj::Promise<void> writeBlock(Cid cid) {
    auto block = co_await walk.get("", cid);
    if (cid.findIdentity() == nullptr) {
      if (written.size() == mostWritten) {
        refuse("", kj::str("has more than ", mostWritten, " blocks, which is the most that a CAR "
                           "file is written of"));
      }
      co_await writeSection(cid.getBytes(), block);
      written.insert(WrittenBlock(cid));
      ++result.blocks;
    }
    auto read = readDagBlock("", cid, kj::mv(block));
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
  const size_t mostWritten;
  kj::Vector<Cid> pending;  // the next one last
  kj::HashSet<WrittenBlock> written;
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
