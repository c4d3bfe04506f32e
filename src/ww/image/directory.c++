#include <ww/image/directory.h>

#include <bit>
#include <stdlib.h>
#include <ww/base/text.h>
#include <ww/image/name.h>

namespace ww {
namespace {

// Where a shard is in its HAMT.
struct ShardPlace {
  kj::uint level = 0;
  uint64_t hash = 0;    // its highest bits, those that lead here; the rest is 0
  uint64_t fanout = 0;  // of all of it; 0 where it is not known yet
};

constexpr uint64_t MIN_FANOUT = 8, MAX_FANOUT = 1024;

// A link's name is its index in as many hexadecimal digits as the largest has, then the entry's
// name; none where it leads to another shard.
struct ShardLink {
  uint64_t index;
  kj::ArrayPtr<const char> name;
};

bool isSet(kj::ArrayPtr<const kj::byte> bits, uint64_t index) {
  auto byte = index / 8;
  return byte < bits.size() && (bits[bits.size() - 1 - byte] >> (index % 8) & 1) != 0;
}

// One shard, checked as far as it can be without the others.
class Shard {
 public:
  Shard(kj::StringPtr path, const ffi::NodeParts& parts, const ShardPlace& place)
      : path(path), parts(parts), place(place) {
    if (parts.kind != ffi::NodeKind::SHARD) refuse(path, "is sharded, and a shard is none");
    if (parts.hashType.orDefault(0) != ffi::HAMT_HASH) {
      refuse(path, kj::str("is sharded by hash 0x", kj::hex(parts.hashType.orDefault(0)),
                           ", not by murmur3-x64-64"));
    }
    fanout = parts.fanout.orDefault(0);
    if (!std::has_single_bit(fanout) || fanout < MIN_FANOUT || fanout > MAX_FANOUT) {
      refuse(path, kj::str("is sharded ", fanout, "-fold: it must be a power of two from ",
                           MIN_FANOUT, " to ", MAX_FANOUT));
    }
    if (place.fanout != 0 && fanout != place.fanout) {
      refuse(path, "is sharded by different fanouts");
    }
    bits = std::bit_width(fanout - 1);
    if ((place.level + 1) * bits > 64) refuse(path, "is sharded more deeply than its hashes reach");
    digits = (bits + 3) / 4;
    checkField();
  }

  // In the order of their indices, each once, as the field has them.
  ShardLink read(const ffi::Link& link, kj::Maybe<uint64_t> previous) const {
    if (link.name.size() < digits) refuse(path, "has a link in a shard without its index");
    uint64_t index = 0;
    for (auto c: link.name.slice(0, digits)) {
      bool isDigit = c >= '0' && c <= '9', isLetter = c >= 'A' && c <= 'F';
      if (!isDigit && !isLetter) refuse(path, "has a link in a shard without its index");
      index = index << 4 | (isDigit ? c - '0' : c - 'A' + 10);
    }
    bool isNext = previous.map([&](uint64_t p) { return index > p; }).orDefault(true);
    if (!isNext || index >= fanout || !isSet(parts.data.orDefault(nullptr), index)) {
      refuse(path, "has a link in a shard where its index does not belong");
    }
    return { index, link.name.slice(digits, link.name.size()) };
  }

  ShardPlace below(uint64_t index) const {
    return { place.level + 1, place.hash | index << (64 - (place.level + 1) * bits), fanout };
  }

  void requireHere(kj::StringPtr name, uint64_t index) const {
    auto used = (place.level + 1) * bits;
    auto mask = used == 64 ? ~uint64_t(0) : ~(~uint64_t(0) >> used);
    if ((ffi::hamtHash(name) & mask) != below(index).hash) {
      refuse(path, kj::str("has '", escapeText(name),
                           "' in a shard where its hash does not belong"));
    }
  }

  uint64_t indexOf(kj::StringPtr name) const {
    return ffi::hamtHash(name) >> (64 - (place.level + 1) * bits) & (fanout - 1);
  }

 private:
  void checkField() const {
    auto field = parts.data.orDefault(nullptr);
    size_t count = 0;
    for (auto byte: field) count += std::popcount(byte);
    if (count != parts.links.size()) {
      refuse(path, kj::str("has a shard of ", parts.links.size(), " links whose field has ",
                           count));
    }
  }

  kj::StringPtr path;
  const ffi::NodeParts& parts;
  ShardPlace place;
  uint64_t fanout;
  kj::uint bits;
  size_t digits;
};

class Lister {
 public:
  Lister(DagWalk& walk, kj::StringPtr path, DagWalk::Hold& hold)
      : walk(walk), path(path), hold(hold) {}

  void add(kj::ArrayPtr<const char> name, kj::ArrayPtr<const kj::byte> cid) {
    requireName(path, name);
    if (entries.size() == walk.getLimits().entries) {
      refuse(path, kj::str("has more than ", entries.size(), " entries"));
    }
    hold.add(sizeof(DirectoryEntry) + name.size() + cid.size() + 2 * MALLOC_BYTES);
    entries.add(DirectoryEntry { kj::heapString(name), Cid::fromBytes(cid) });
  }

  kj::Promise<void> addShard(ffi::Node node, ShardPlace place) {
    DagWalk::Hold here(walk, path);
    auto& parts = node.getParts();
    here.add(node.getFootprint());
    Shard shard(path, parts, place);
    kj::Maybe<uint64_t> previous;
    for (auto& raw: parts.links) {
      auto link = shard.read(raw, previous);
      previous = link.index;
      if (link.name.size() > 0) {
        add(link.name, raw.cid);
        shard.requireHere(entries.back().name, link.index);
        continue;
      }
      auto block = co_await walk.load(path, Cid::fromBytes(raw.cid));
      KJ_IF_MAYBE(inner, block.tryGet<ffi::Node>()) {
        co_await addShard(kj::mv(*inner), shard.below(link.index));
      } else {
        refuse(path, "has a shard that is a file");
      }
    }
  }

  kj::Promise<kj::Array<DirectoryEntry>> finish() {
    auto all = entries.releaseAsArray();
    co_await sortWithBreaths(all.asPtr());
    Breath breath(Breath::NAMES);
    auto names = kj::heapArrayBuilder<FoldedName>(all.size());
    for (auto& entry: all) {
      names.add(FoldedName(entry.name));
      KJ_IF_MAYBE(rest, breath.after()) co_await *rest;
    }
    co_await sortWithBreaths(names.asPtr());
    requireDistinct(path, names.asPtr().asConst());
    co_return kj::mv(all);
  }

 private:
  static constexpr size_t MALLOC_BYTES = 32;  // what the allocator adds to each

  DagWalk& walk;
  kj::StringPtr path;
  DagWalk::Hold& hold;
  kj::Vector<DirectoryEntry> entries;
};

}  // namespace

bool isDirectory(const ffi::Node& node) {
  auto kind = node.getParts().kind;
  return kind == ffi::NodeKind::DIRECTORY || kind == ffi::NodeKind::SHARD;
}

kj::Promise<kj::Array<DirectoryEntry>> listDirectory(DagWalk& walk, kj::StringPtr path,
                                                     ffi::Node node, DagWalk::Hold& hold) {
  Lister lister(walk, path, hold);
  if (node.getParts().kind == ffi::NodeKind::SHARD) {
    co_await lister.addShard(kj::mv(node), {});
  } else {
    for (auto& link: node.getParts().links) lister.add(link.name, link.cid);
  }
  co_return co_await lister.finish();
}

kj::Promise<kj::Maybe<Cid>> findEntry(DagWalk& walk, kj::StringPtr path, ffi::Node node,
                                      kj::StringPtr name) {
  auto found = [](const ffi::Link& link) -> kj::Maybe<Cid> { return Cid::fromBytes(link.cid); };
  ShardPlace place;
  while (node.getParts().kind == ffi::NodeKind::SHARD) {
    Shard shard(path, node.getParts(), place);
    auto index = shard.indexOf(name);
    kj::Maybe<const ffi::Link&> next;
    for (auto& raw: node.getParts().links) {
      auto link = shard.read(raw, nullptr);
      if (link.index != index) continue;
      if (link.name == name.asArray()) co_return found(raw);
      if (link.name.size() == 0) next = raw;
    }
    KJ_IF_MAYBE(link, next) {
      auto block = co_await walk.load(path, Cid::fromBytes(link->cid));
      place = shard.below(index);
      KJ_IF_MAYBE(inner, block.tryGet<ffi::Node>()) {
        node = kj::mv(*inner);
        continue;
      }
      refuse(path, "has a shard that is a file");
    }
    co_return nullptr;
  }
  for (auto& link: node.getParts().links) {
    if (link.name == name.asArray()) co_return found(link);
  }
  co_return nullptr;
}

}  // namespace ww
