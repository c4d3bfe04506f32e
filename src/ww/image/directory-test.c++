#include <ww/image/directory.h>

#include <kj/test.h>
#include <ww/image/dag-fixture-test.h>

namespace ww {
namespace {

// A sharded directory by hand: a shard's links, and what it says of itself.
struct ShardWorld: DagWorld {
  struct Entry {
    kj::String name;
    Cid cid;
    uint64_t index;
  };

  // What its hash says of a name's place at a level.
  static uint64_t place(kj::StringPtr name, kj::uint level = 0) {
    return ffi::hamtHash(name) >> (56 - 8 * level) & 0xff;
  }
  Entry entry(kj::StringPtr name, uint64_t index, Cid cid) {
    static constexpr char HEX[] = "0123456789ABCDEF";
    return { kj::str(HEX[index >> 4 & 15], HEX[index & 15], name), kj::mv(cid), index };
  }
  Entry leaf(kj::StringPtr name, kj::uint level = 0) {
    return entry(name, place(name, level), raw(name));
  }

  ffi::NodeParts about() {
    return { .kind = ffi::NodeKind::SHARD, .hashType = ffi::HAMT_HASH, .fanout = uint64_t(256) };
  }
  Cid shard(kj::ArrayPtr<Entry> entries, ffi::NodeParts parts) {
    kj::byte field[32] = {};
    for (auto& e: entries) field[31 - e.index / 8] |= 1 << (e.index % 8);
    if (parts.data == nullptr) parts.data = kj::ArrayPtr<const kj::byte>(field);
    auto links = KJ_MAP(e, entries) {
      return ffi::Link { e.name.asArray(), e.cid.getBytes(), 1 };
    };
    parts.links = links;
    return put(parts);
  }
  template <typename... Entries>
  Cid shard(Entry&& first, Entries&&... more) {
    Entry all[] = { kj::mv(first), kj::mv(more)... };
    return shard(kj::arrayPtr(all, 1 + sizeof...(more)), about());
  }
};

KJ_TEST("a sharded directory is a directory like any other") {
  ShardWorld t;
  auto root = t.shard(t.leaf("a"), t.leaf("main.wasm"), t.leaf("lib"));
  KJ_EXPECT(t.read(root) == "a=a\nlib=lib\nmain.wasm=main.wasm");
  KJ_EXPECT(t.resolve(root, "lib") == t.raw("lib").toText());
  KJ_EXPECT_THROW_MESSAGE("'nobody' is not there", t.resolve(root, "nobody"));
  auto inner = t.shard(t.leaf("a", 1));
  KJ_EXPECT(t.read(t.shard(t.entry("", t.place("a"), kj::mv(inner)))) == "a=a");
}

KJ_TEST("a shard's own words are checked") {
  ShardWorld t;
  auto about = [&](ffi::NodeParts parts) {
    ShardWorld::Entry one[] = { t.leaf("a") };
    return t.shard(one, parts);
  };
  auto parts = t.about();
  parts.hashType = uint64_t(0x12);
  KJ_EXPECT_THROW_MESSAGE("is sharded by hash 0x12", t.read(about(parts)));
  for (uint64_t fanout: {0u, 1u, 4u, 100u, 2048u, 1u << 31}) {
    parts = t.about();
    parts.fanout = fanout;
    KJ_EXPECT_THROW_MESSAGE("power of two from 8 to 1024", t.read(about(parts)));
  }
  parts = t.about();
  parts.data = "\xff"_bytes;
  KJ_EXPECT_THROW_MESSAGE("a shard of 1 links whose field has 8", t.read(about(parts)));
  parts.data = ""_bytes;
  KJ_EXPECT_THROW_MESSAGE("whose field has 0", t.read(about(parts)));
  parts.data = "\1"_bytes;
  KJ_EXPECT_THROW_MESSAGE("where its index does not belong", t.read(about(parts)));
}

KJ_TEST("names in a shard are where their hashes belong") {
  ShardWorld t;
  auto elsewhere = (t.place("a") + 1) & 0xff;
  KJ_EXPECT_THROW_MESSAGE("'a' in a shard where its hash does not belong",
                          t.read(t.shard(t.entry("a", elsewhere, t.raw("a")))));
  // In the right place of a shard that is in a wrong one.
  auto inner = t.shard(t.leaf("a", 1));
  KJ_EXPECT_THROW_MESSAGE("'a' in a shard where its hash does not belong",
                          t.read(t.shard(t.entry("", elsewhere, kj::mv(inner)))));
  ShardWorld::Entry bad[] = { { kj::str("zz"), t.raw("a"), 0 } };
  KJ_EXPECT_THROW_MESSAGE("without its index", t.read(t.shard(bad, t.about())));
  ShardWorld::Entry cut[] = { { kj::str("0"), t.raw("a"), 0 } };
  KJ_EXPECT_THROW_MESSAGE("without its index", t.read(t.shard(cut, t.about())));
  ShardWorld::Entry twice[] = { t.leaf("a"), t.leaf("a") };
  auto parts = t.about();
  kj::byte two[] = { 3 };
  parts.data = kj::ArrayPtr<const kj::byte>(two);
  KJ_EXPECT_THROW_MESSAGE("where its index does not belong", t.read(t.shard(twice, parts)));
}

KJ_TEST("names in a shard are names") {
  ShardWorld t;
  for (auto name: {"..", ".", "a/b", "/"}) {
    KJ_EXPECT_THROW_MESSAGE("has", t.read(t.shard(t.leaf(name))));
    KJ_EXPECT_THROW_MESSAGE(name, t.read(t.shard(t.leaf(name))));
  }
}

KJ_TEST("what is in a shard's place is a shard of the same kind") {
  ShardWorld t;
  auto at = t.place("a");
  KJ_EXPECT_THROW_MESSAGE("has a shard that is a file",
                          t.read(t.shard(t.entry("", at, t.raw("a")))));
  KJ_EXPECT_THROW_MESSAGE("has a shard that is a file",
                          t.resolve(t.shard(t.entry("", at, t.raw("a"))), "a"));
  KJ_EXPECT_THROW_MESSAGE("a shard is none",
                          t.read(t.shard(t.entry("", at, t.directory({})))));
  auto parts = t.about();
  parts.fanout = uint64_t(16);
  auto other = t.shard(kj::ArrayPtr<ShardWorld::Entry>(), parts);
  KJ_EXPECT_THROW_MESSAGE("by different fanouts", t.read(t.shard(t.entry("", at, kj::mv(other)))));
}

KJ_TEST("a shard that leads to itself ends where its hashes do") {
  ShardWorld t;
  // What no hash allows, by a store that is damaged.
  auto self = Cid::of(Cid::DAG_PB, "self"_bytes);
  kj::byte field[] = { 1 };
  auto parts = t.about();
  parts.data = kj::ArrayPtr<const kj::byte>(field);
  ffi::Link link { "00"_kj.asArray(), self.getBytes(), 1 };
  parts.links = kj::arrayPtr(&link, 1);
  t.store.put(self, ffi::encodeNode(parts));
  KJ_EXPECT_THROW_MESSAGE("more deeply than its hashes reach", t.read(self));
  // Two at each level: 2^8 of them, and no more.
  kj::byte both[] = { 3 };
  parts.data = kj::ArrayPtr<const kj::byte>(both);
  auto twice = Cid::of(Cid::DAG_PB, "twice"_bytes);
  ffi::Link links[] = { { "00"_kj.asArray(), twice.getBytes(), 1 },
                        { "01"_kj.asArray(), twice.getBytes(), 1 } };
  parts.links = links;
  t.store.put(twice, ffi::encodeNode(parts));
  KJ_EXPECT_THROW_MESSAGE("more deeply than its hashes reach", t.read(twice));
}

KJ_TEST("a missing shard is named") {
  ShardWorld t;
  auto inner = t.shard(t.leaf("a", 1));
  auto root = t.shard(t.entry("", t.place("a"), inner.clone()));
  t.store.remove(inner);
  KJ_EXPECT_THROW_MESSAGE(inner.toText(), t.read(root));
  KJ_EXPECT_THROW_MESSAGE(inner.toText(), t.resolve(root, "a"));
}

}  // namespace
}  // namespace ww
