#include <ww/image/block.h>

#include <kj/test.h>
#include <string.h>

namespace ww {
namespace {

kj::ArrayPtr<const kj::byte> operator""_bytes(const char* text, size_t size) {
  return kj::arrayPtr(text, size).asBytes();
}

kj::Array<const kj::byte> copy(kj::ArrayPtr<const kj::byte> bytes) {
  return kj::heapArray<kj::byte>(bytes);
}

bool has(kj::StringPtr text, kj::StringPtr part) {
  return strstr(text.cStr(), part.cStr()) != nullptr;
}

// Says that each block is `answer`; has none where there is no answer.
class Teller final: public BlockSource {
 public:
  Teller(kj::StringPtr name, kj::Maybe<kj::ArrayPtr<const kj::byte>> answer, kj::uint& asked)
      : name(name), answer(answer), asked(asked) {}
  kj::StringPtr getName() const override { return name; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid&) override {
    ++asked;
    KJ_IF_MAYBE(bytes, answer) return copy(*bytes);
    return KJ_EXCEPTION(FAILED, "it has none");
  }

 private:
  kj::StringPtr name;
  kj::Maybe<kj::ArrayPtr<const kj::byte>> answer;
  kj::uint& asked;
};

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  MemoryBlockStore store;
  MemoryLogger logger;
  kj::uint asked[3] = {};
  kj::Vector<kj::Own<BlockSource>> sources;

  void add(kj::StringPtr name, kj::Maybe<kj::ArrayPtr<const kj::byte>> answer) {
    sources.add(kj::heap<Teller>(name, answer, asked[sources.size()]));
  }
};

KJ_TEST("the first source that has the right block is believed, and the store asked from then on") {
  Fixture t;
  t.add("nobody", nullptr);
  t.add("honest", "block"_bytes);
  t.add("spare", "block"_bytes);
  BlockFetcher blocks(t.store, t.sources.asPtr(), t.logger);
  auto cid = Cid::of(Cid::RAW, "block"_bytes);
  KJ_EXPECT(blocks.get(cid).wait(t.waitScope) == "block"_bytes);
  KJ_EXPECT(blocks.get(cid).wait(t.waitScope) == "block"_bytes);
  KJ_EXPECT(t.asked[0] == 1 && t.asked[1] == 1 && t.asked[2] == 0);
  KJ_EXPECT(t.logger.getLines().size() == 0);
}

KJ_TEST("a wrong block names its source, which is asked no more; the next one is") {
  Fixture t;
  t.add("liar", "blocK"_bytes);
  t.add("honest", "block"_bytes);
  BlockFetcher blocks(t.store, t.sources.asPtr(), t.logger);
  auto cid = Cid::of(Cid::RAW, "block"_bytes);
  KJ_EXPECT(blocks.get(cid).wait(t.waitScope) == "block"_bytes);
  KJ_ASSERT(t.logger.getLines().size() == 1);
  KJ_EXPECT(has(t.logger.getLines()[0], "source=liar"), t.logger.getLines()[0]);
  KJ_EXPECT(has(t.logger.getLines()[0], cid.toText()), t.logger.getLines()[0]);
  KJ_EXPECT(t.store.getCount() == 1);
  auto other = Cid::of(Cid::RAW, "other"_bytes);
  KJ_EXPECT_THROW_MESSAGE("liar: it sent a wrong block before; honest: it sent 5 bytes that are",
                          blocks.get(other).wait(t.waitScope));
  KJ_EXPECT(t.asked[0] == 1 && t.asked[1] == 2);
}

KJ_TEST("one that nobody has is named, with what each said") {
  Fixture t;
  auto cid = Cid::of(Cid::RAW, "block"_bytes);
  BlockFetcher alone(t.store, nullptr, t.logger);
  KJ_EXPECT_THROW_MESSAGE(cid.toText(), alone.get(cid).wait(t.waitScope));
  KJ_EXPECT_THROW_MESSAGE("nobody is there to be asked", alone.get(cid).wait(t.waitScope));
  t.add("first", nullptr);
  t.add("second", nullptr);
  BlockFetcher blocks(t.store, t.sources.asPtr(), t.logger);
  KJ_EXPECT_THROW_MESSAGE("cannot be had: first: it has none; second: it has none",
                          blocks.get(cid).wait(t.waitScope));
}

KJ_TEST("more than a block may have is not believed, whatever its hash") {
  Fixture t;
  auto large = kj::heapArray<kj::byte>(MAX_BLOCK_BYTES + 1);
  memset(large.begin(), 0, large.size());
  t.add("generous", large.asPtr().asConst());
  BlockFetcher blocks(t.store, t.sources.asPtr(), t.logger);
  auto cid = Cid::of(Cid::RAW, large);
  KJ_EXPECT_THROW_MESSAGE("generous: it sent more than", blocks.get(cid).wait(t.waitScope));
}

KJ_TEST("a block that its content id holds is asked of nobody") {
  Fixture t;
  t.add("anybody", "y"_bytes);
  BlockFetcher blocks(t.store, t.sources.asPtr(), t.logger);
  kj::byte identity[] = { 1, 0x55, 0, 1, 'x' };
  KJ_EXPECT(blocks.get(Cid::fromBytes(identity)).wait(t.waitScope) == "x"_bytes);
  KJ_EXPECT(t.asked[0] == 0 && t.store.getCount() == 0);
}

KJ_TEST("the block of no bytes is asked of nobody, and is in the store from then on") {
  Fixture f;
  f.add("one", nullptr);
  BlockFetcher blocks(f.store, f.sources, f.logger);
  auto cid = Cid::of(Cid::RAW, nullptr);
  KJ_EXPECT(blocks.get(cid).wait(f.waitScope).size() == 0);
  KJ_EXPECT(f.store.find(cid) != nullptr);
  KJ_EXPECT(f.asked[0] == 0);
}

KJ_TEST("memory is bounded, and a block kept once") {
  MemoryBlockStore store(10);
  auto put = [&](kj::ArrayPtr<const kj::byte> block) {
    store.put(Cid::of(Cid::RAW, block), block);
  };
  put("12345"_bytes);
  put("12345"_bytes);
  put("abcde"_bytes);
  KJ_EXPECT_THROW_MESSAGE("more than 10 bytes", put("z"_bytes));
  KJ_EXPECT(store.getCount() == 2);
  KJ_EXPECT(KJ_ASSERT_NONNULL(store.find(Cid::of(Cid::RAW, "abcde"_bytes))) == "abcde"_bytes);
  KJ_EXPECT(store.find(Cid::of(Cid::RAW, "z"_bytes)) == nullptr);
}

}  // namespace
}  // namespace ww
