#include <ww/image/cid.h>

#include <kj/test.h>
#include <string.h>
#include <ww/ffi/component.h>

namespace ww {
namespace {

constexpr auto EMPTY_V0 = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"_kj;
constexpr auto EMPTY_V1 = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"_kj;
constexpr kj::byte EMPTY[] = { 0x0a, 2, 8, 1 };  // a directory with nothing in it

kj::Array<kj::byte> identity(size_t size) {
  auto bytes = kj::heapArray<kj::byte>(size + (size < 128 ? 4 : 5));
  memset(bytes.begin(), 'x', bytes.size());
  kj::byte start[] = { 1, 0x55, 0, kj::byte(size < 128 ? size : (size & 0x7f) | 0x80),
                       kj::byte(size >> 7) };
  memcpy(bytes.begin(), start, bytes.size() - size);
  return bytes;
}

KJ_TEST("both versions are read, written as they were, and are not each other") {
  auto v0 = Cid::parse(EMPTY_V0), v1 = Cid::parse(EMPTY_V1);
  KJ_EXPECT(v0.toText() == EMPTY_V0 && v1.toText() == EMPTY_V1);
  KJ_EXPECT(v0.getCodec() == Cid::DAG_PB && v1.getCodec() == Cid::DAG_PB);
  KJ_EXPECT(!(v0 == v1));
  KJ_EXPECT(v0.isOf(EMPTY) && v1.isOf(EMPTY));
  KJ_EXPECT(v1 == Cid::of(Cid::DAG_PB, EMPTY));
  KJ_EXPECT(!v1.isOf(kj::arrayPtr(EMPTY, 3)));
  KJ_EXPECT(v1.clone() == v1 && v1.clone().hashCode() == v1.hashCode());
  KJ_EXPECT(Cid::fromBytes(v0.getBytes()) == v0);
  KJ_EXPECT(v1.findIdentity() == nullptr);
}

KJ_TEST("blake3 is checked like sha2-256") {
  // Of "hello", as b3sum has it.
  auto cid = Cid::parse(kj::str("f01551e20",
      "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"));
  KJ_EXPECT(cid.isOf(kj::StringPtr("hello").asBytes()));
  KJ_EXPECT(!cid.isOf(kj::StringPtr("hellO").asBytes()));
  KJ_EXPECT(Cid::parse(cid.toText()) == cid);
}

KJ_TEST("what compiled code is named by is a content id like any other") {
  constexpr kj::byte PREFIX[] = {1, Cid::RAW, 0x1e, 32};
  for (auto text: {""_kj, "a component"_kj}) {
    auto id = ffi::contentId(text.asBytes());
    auto cid = Cid::parse(id);
    KJ_EXPECT(cid.isOf(text.asBytes()) && cid.getCodec() == Cid::RAW && cid.toText() == id);
    KJ_EXPECT(KJ_ASSERT_NONNULL(Cid::findLike(PREFIX, text.asBytes())) == cid);
  }
}

KJ_TEST("an identity holds its block, up to a size") {
  auto cid = Cid::fromBytes(identity(5));
  KJ_EXPECT(cid.isOf(kj::StringPtr("xxxxx").asBytes()));
  KJ_EXPECT(KJ_ASSERT_NONNULL(cid.findIdentity()) == kj::StringPtr("xxxxx").asBytes());
  KJ_EXPECT(KJ_ASSERT_NONNULL(Cid::fromBytes(identity(0)).findIdentity()).size() == 0);
  KJ_EXPECT(KJ_ASSERT_NONNULL(Cid::parse(cid.toText()).findIdentity()).size() == 5);
  auto most = Cid::fromBytes(identity(Cid::MAX_IDENTITY_BYTES));
  KJ_EXPECT(KJ_ASSERT_NONNULL(most.findIdentity()).size() == Cid::MAX_IDENTITY_BYTES);
  KJ_EXPECT_THROW_MESSAGE("longer than 128", Cid::fromBytes(identity(129)));
}

KJ_TEST("an identity that claims a gigabyte is refused before any of it is taken") {
  kj::byte gigabyte[] = { 1, 0x55, 0, 0x80, 0x80, 0x80, 0x80, 4, 'x' };
  KJ_EXPECT_THROW_MESSAGE("no content id", Cid::startOf(gigabyte));
  auto all = kj::heapArray<kj::byte>(1 << 20);
  memset(all.begin(), 'x', all.size());
  memcpy(all.begin(), gigabyte, sizeof(gigabyte));
  KJ_EXPECT_THROW_MESSAGE("longer than 128", Cid::startOf(all));
}

KJ_TEST("what is none is refused, and named") {
  KJ_EXPECT_THROW_MESSAGE("'hello world' is no content id", Cid::parse("hello world"));
  KJ_EXPECT_THROW_MESSAGE("no content id", Cid::parse(""));
  KJ_EXPECT_THROW_MESSAGE("no content id", Cid::parse(EMPTY_V1.slice(1)));
  KJ_EXPECT_THROW_MESSAGE("no content id", Cid::parse(kj::str(EMPTY_V1, "a")));
  KJ_EXPECT_THROW_MESSAGE("no content id", Cid::parse(kj::str("/ipfs/", EMPTY_V1)));
  KJ_EXPECT_THROW_MESSAGE("version 0", Cid::parse(kj::str("z", EMPTY_V0)));
  KJ_EXPECT_THROW_MESSAGE("0x13 is not known here", Cid::parse(kj::str(
      "f01701340", "00000000000000000000000000000000", "00000000000000000000000000000000",
      "00000000000000000000000000000000", "00000000000000000000000000000000")));
  KJ_EXPECT_THROW_MESSAGE("no content id", Cid::fromBytes(nullptr));
  auto longer = kj::str("b", kj::heapString(1 << 20));
  memset(longer.begin(), 'b', longer.size());
  KJ_EXPECT_THROW_MESSAGE("characters", Cid::parse(longer));
}

KJ_TEST("one that something follows is read from the start, and is none as a whole") {
  auto cid = Cid::of(Cid::RAW, EMPTY);
  auto more = kj::heapArray<kj::byte>(cid.getBytes().size() + 3);
  memset(more.begin(), 0, more.size());
  memcpy(more.begin(), cid.getBytes().begin(), cid.getBytes().size());
  KJ_EXPECT(Cid::startOf(more) == cid);
  KJ_EXPECT_THROW_MESSAGE("3 bytes follow", Cid::fromBytes(more));
}

}  // namespace
}  // namespace ww
