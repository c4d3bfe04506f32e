#include <ww/image/block.h>

#include <kj/test.h>
#include <kj/timer.h>
#include <string.h>
#include <ww/base/error.h>

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

// Has what a store has.
class StoreSource final: public BlockSource {
 public:
  explicit StoreSource(BlockStore& store, kj::Maybe<kj::uint&> asked = nullptr)
      : store(store), asked(asked) {}
  kj::StringPtr getName() const override { return "store"; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid& cid) override {
    KJ_IF_MAYBE(count, asked) ++*count;
    KJ_IF_MAYBE(block, store.find(cid)) return kj::mv(*block);
    return KJ_EXCEPTION(FAILED, "it has none");
  }

 private:
  BlockStore& store;
  kj::Maybe<kj::uint&> asked;
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
  KJ_EXPECT_THROW_MESSAGE("nobody is named who may have it: --gateway URL",
                          alone.get(cid).wait(t.waitScope));
  t.add("first", nullptr);
  t.add("second", nullptr);
  BlockFetcher blocks(t.store, t.sources.asPtr(), t.logger);
  KJ_EXPECT_THROW_MESSAGE("cannot be had: first: it has none; second: it has none",
                          blocks.get(cid).wait(t.waitScope));
}

// Answers in no time that it is given.
class Staller final: public BlockSource {
 public:
  Staller(kj::Timer& timer, kj::uint& asked): timer(timer), asked(asked) {}
  kj::StringPtr getName() const override { return "staller"; }
  kj::Promise<kj::Array<const kj::byte>> fetch(const Cid&) override {
    ++asked;
    return timer.afterDelay(30 * kj::SECONDS).then([]() -> kj::Array<const kj::byte> {
      kj::throwFatalException(late("no answer"));
    });
  }

 private:
  kj::Timer& timer;
  kj::uint& asked;
};

KJ_TEST("a source that stalls costs its time once, and is asked where nobody else has a block") {
  Fixture t;
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  t.sources.add(kj::heap<Staller>(timer, t.asked[0]));
  MemoryBlockStore others;
  t.sources.add(kj::heap<StoreSource>(others));
  BlockFetcher blocks(t.store, t.sources.asPtr(), t.logger);
  for (kj::uint i = 0; i < 10; i++) {
    auto text = kj::str("block ", i);
    auto cid = Cid::of(Cid::RAW, text.asBytes());
    others.put(cid, text.asBytes());
    auto got = blocks.get(cid);
    if (i == 0) {
      KJ_EXPECT(!got.poll(t.waitScope));
      timer.advanceTo(timer.now() + 30 * kj::SECONDS);
    }
    KJ_ASSERT(got.poll(t.waitScope), i);
    KJ_EXPECT(got.wait(t.waitScope) == text.asBytes());
  }
  KJ_EXPECT(t.asked[0] == 1);
  KJ_ASSERT(t.logger.getLines().size() == 1);
  KJ_EXPECT(has(t.logger.getLines()[0], "source=staller"), t.logger.getLines()[0]);
  auto nobodys = blocks.get(Cid::of(Cid::RAW, "x"_bytes));
  KJ_EXPECT(!nobodys.poll(t.waitScope) && t.asked[0] == 2);
}

KJ_TEST("a source that lacks blocks is asked after the others, until it has one") {
  Fixture t;
  MemoryBlockStore first, second;
  t.sources.add(kj::heap<StoreSource>(first, t.asked[0]));
  t.sources.add(kj::heap<StoreSource>(second, t.asked[1]));
  BlockFetcher blocks(t.store, t.sources.asPtr(), t.logger);
  auto get = [&](kj::uint number, BlockStore& owner) {
    auto text = kj::str("block ", number);
    auto cid = Cid::of(Cid::RAW, text.asBytes());
    owner.put(cid, text.asBytes());
    KJ_EXPECT(blocks.get(cid).wait(t.waitScope) == text.asBytes());
  };
  for (kj::uint i = 0; i < 10; i++) get(i, second);
  KJ_EXPECT(t.asked[0] == 3 && t.asked[1] == 10);
  get(10, first);
  KJ_EXPECT(t.asked[0] == 4 && t.asked[1] == 11);
  get(11, first);
  KJ_EXPECT(t.asked[0] == 5 && t.asked[1] == 11);
}

KJ_TEST("a source hears whose block it is asked for") {
  struct Recorder final: public BlockSource {
    kj::Vector<Cid>& roots;
    explicit Recorder(kj::Vector<Cid>& roots): roots(roots) {}
    kj::StringPtr getName() const override { return "recorder"; }
    kj::Promise<kj::Array<const kj::byte>> fetch(const Cid&) override { KJ_UNREACHABLE; }
    kj::Promise<kj::Array<const kj::byte>> fetchOf(const Cid& root, const Cid&) override {
      roots.add(root.clone());
      return KJ_EXCEPTION(FAILED, "it has none");
    }
  };
  Fixture t;
  kj::Vector<Cid> roots;
  t.sources.add(kj::heap<Recorder>(roots));
  BlockFetcher blocks(t.store, t.sources.asPtr(), t.logger);
  auto root = Cid::of(Cid::RAW, "root"_bytes), other = Cid::of(Cid::RAW, "other"_bytes);
  t.store.put(root, "root"_bytes);
  blocks.get(root).wait(t.waitScope);
  KJ_EXPECT_THROW_MESSAGE("it has none", blocks.get(other).wait(t.waitScope));
  KJ_EXPECT(roots.size() == 1 && roots[0] == root);
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
