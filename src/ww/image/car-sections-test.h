#pragma once
// CAR files by hand, a section at a time. For the tests of this room.

#include <kj/map.h>
#include <ww/ffi/content.h>
#include <ww/image/block.h>

namespace ww {

// A CAR file as a list: its header, then blocks with what is before each.
using Sections = kj::Vector<kj::Array<kj::byte>>;

inline kj::Array<kj::byte> join(kj::ArrayPtr<const kj::Array<kj::byte>> parts) {
  kj::Vector<kj::byte> all;
  for (auto& part: parts) all.addAll(part);
  return all.releaseAsArray();
}

inline kj::Array<kj::byte> sectionOf(kj::ArrayPtr<const kj::byte> cid,
                                     kj::ArrayPtr<const kj::byte> block) {
  kj::Vector<kj::byte> bytes;
  auto size = cid.size() + block.size();
  for (; size >= 0x80; size >>= 7) bytes.add(kj::byte(size) | 0x80);
  bytes.add(kj::byte(size));
  bytes.addAll(cid);
  bytes.addAll(block);
  return bytes.releaseAsArray();
}

// All that is below `root` in `far`, depth first, as a gateway sends it.
class Sender {
 public:
  Sender(MemoryBlockStore& far, bool dups) : far(far), dups(dups) {}

  Sections send(const Cid& root) {
    kj::ArrayPtr<const kj::byte> roots[] = { root.getBytes() };
    sections.add(sectionOf(ffi::encodeCarHeader(roots), nullptr));
    add(root);
    return kj::mv(sections);
  }
  kj::Vector<Cid> list(const Cid& root) {
    add(root);
    return kj::mv(order);
  }

 private:
  void add(const Cid& cid) {
    if (!dups && sent.contains(cid)) return;
    sent.upsert(cid.clone(), [](Cid&, Cid&&) {});
    order.add(cid.clone());
    auto block = KJ_ASSERT_NONNULL(far.find(cid));
    sections.add(sectionOf(cid.getBytes(), block));
    if (cid.getCodec() != Cid::DAG_PB) return;
    ffi::Node node(kj::mv(block));
    for (auto& link: node.getParts().links) add(Cid::fromBytes(link.cid));
  }

  MemoryBlockStore& far;
  const bool dups;
  Sections sections;
  kj::Vector<Cid> order;
  kj::HashSet<Cid> sent;
};

}  // namespace ww
