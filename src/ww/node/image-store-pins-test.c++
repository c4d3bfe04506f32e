// What pinned images take, and what is asked before a block is an image's.
#include <ww/node/image-store.h>

#include <kj/async-io.h>
#include <ww/node/image-store-fixture-test.h>

namespace ww {
namespace {

struct Pins: public Fixture {
  using Fixture::Fixture;
  kj::AsyncIoContext io = kj::setupAsyncIo();

  struct Counted: public ImageStore::CountedImage {
    uint64_t allPinned;
  };
  Counted count(kj::byte root) {
    auto counted = store->countPinned(kj::arr(cidOf(root))).wait(io.waitScope);
    KJ_ASSERT(counted.images.size() == 1);
    return Counted{counted.images[0], counted.pinned};
  }

  // The blocks of an image, as they are written.
  kj::Array<int> members(kj::byte root) {
    store->list();  // writes what waits
    SqliteFile file(folder.at("images/blocks.db"));
    kj::Vector<int> numbers;
    for (int number = 1; number < 20; number++) {
      SqliteStatement has(file, "SELECT 1 FROM member WHERE "
          "image = (SELECT id FROM image WHERE cid = ?) AND "
          "block = (SELECT id FROM block WHERE cid = ?)");
      has.bind(1, cidOf(root).getBytes());
      has.bind(2, cidOf(kj::byte(number)).getBytes());
      if (has.step()) numbers.add(number);
    }
    return numbers.releaseAsArray();
  }
};

// Remembers what it is asked, and refuses what is too much.
struct TestGate final: public ImageStore::Gate {
  size_t asked = 0, most = SIZE_MAX;
  void take(size_t bytes) override {
    asked += bytes;
    if (asked > most) kj::throwFatalException(kj::Exception(kj::Exception::Type::FAILED, __FILE__,
                                                            __LINE__, kj::str("too much")));
  }
};

KJ_TEST("each block of pinned images counts once, and of others what no pinned one has") {
  Pins f;
  f.addImage({1, 2, 3});
  f.addImage({4, 2, 3, 5});
  f.addImage({6, 3, 7});
  KJ_EXPECT(f.count(1).allPinned == 0 && f.count(1).more == 3 * KIB);
  f.store->setPinned(cidOf(1), true);
  f.store->setPinned(cidOf(4), true);
  auto six = f.count(6);
  KJ_EXPECT(six.allPinned == 5 * KIB && six.more == 2 * KIB, six.allPinned, six.more);
  KJ_EXPECT(six.blocks == 3 && six.bytes == 3 * KIB && !six.pinned && six.whole);
  auto one = f.count(1), none = f.count(9);
  KJ_EXPECT(one.allPinned == 5 * KIB && one.more == 0 && one.blocks == 3 && one.pinned);
  KJ_EXPECT(none.allPinned == 5 * KIB && none.more == 0 && none.blocks == 0);
  KJ_EXPECT(!none.pinned && !none.whole);
  KJ_EXPECT(f.store->isPinned(cidOf(4)) && !f.store->isPinned(cidOf(6)));
  KJ_EXPECT(!f.store->isPinned(cidOf(9)));
  f.store->setPinned(cidOf(4), false);
  KJ_EXPECT(f.count(4).allPinned == 3 * KIB && f.count(4).more == 2 * KIB);
}

KJ_TEST("what waits to be written is counted") {
  Pins f;
  auto kept = f.store->keep(cidOf(1));
  kept->put(cidOf(1), block(1));
  f.store->setPinned(cidOf(1), true);
  kept->put(cidOf(2), block(2));
  KJ_EXPECT(f.count(1).allPinned == 2 * KIB);
}

KJ_TEST("several images are counted at once, and a count may be dropped at any time") {
  Pins f;
  f.addImage({1, 2});
  f.addImage({3, 2, 4});
  f.store->setPinned(cidOf(1), true);
  auto begin = [&]() {
    return f.store->countPinned(kj::arr(cidOf(3), cidOf(9), cidOf(1), cidOf(3)));
  };
  for (int i = 0; i < 20; i++) auto dropped = begin();
  auto images = begin().wait(f.io.waitScope).images;
  KJ_ASSERT(images.size() == 4);
  KJ_EXPECT(images[0].blocks == 3 && images[0].more == 2 * KIB && images[3].blocks == 3);
  KJ_EXPECT(images[1].blocks == 0 && images[2].blocks == 2 && images[2].pinned);
}

KJ_TEST("of an image that is kept each block is asked for once, and none that a pinned one has") {
  Pins f(8 << 20);
  f.addImage({1, 2, 3});
  f.addImage({4, 5});
  f.addImage({6});
  f.store->setPinned(cidOf(1), true);
  TestGate gate;
  auto kept = f.store->keep(cidOf(10), gate);
  auto takes = [&](kj::byte number) {
    auto before = gate.asked;
    kept->put(cidOf(number), block(number));
    return gate.asked - before;
  };
  auto finds = [&](kj::byte number) {
    auto before = gate.asked;
    auto found = kept->find(cidOf(number));
    KJ_EXPECT((found != nullptr) == (number < 20));
    return gate.asked - before;
  };
  KJ_EXPECT(takes(10) == KIB && takes(11) == KIB);
  KJ_EXPECT(takes(10) == 0 && finds(11) == 0, "they wait to be written");
  KJ_EXPECT(finds(2) == 0 && takes(3) == 0, "another image has them pinned");
  KJ_EXPECT(finds(5) == KIB && finds(5) == 0, "it is another's, that is not pinned");
  KJ_EXPECT(finds(30) == 0);
  f.store->list();  // writes them
  KJ_EXPECT(takes(10) == 0 && finds(11) == 0 && finds(5) == 0);
  gate.most = gate.asked;
  KJ_EXPECT(failure([&]() { takes(12); }) == "too much" && !f.isThere(12));
  for (int i = 0; i < 2; i++) KJ_EXPECT(failure([&]() { finds(4); }) == "too much");
  auto members = f.members(10);
  KJ_EXPECT(members == kj::arr(2, 3, 5, 10, 11), members, "what is refused is not the image's");
  kept->finish();
  KJ_EXPECT(finds(6) == 0, "of one that is whole nothing is asked");
}

KJ_TEST("where very many images have a block, it may be asked for though a pinned one has it") {
  Pins f(64 << 20);
  for (int i = 1; i <= 200; i++) {
    auto kept = f.store->keep(cidOf(i));
    kept->put(cidOf(i), block(i));
    kept->put(cidOf(255), block(255));
  }
  TestGate gate;
  f.store->setPinned(cidOf(1), true);
  f.store->keep(cidOf(250), gate)->find(cidOf(255));
  KJ_EXPECT(gate.asked == 0);
  f.store->setPinned(cidOf(1), false);
  f.store->setPinned(cidOf(200), true);
  f.store->keep(cidOf(251), gate)->find(cidOf(255));
  KJ_EXPECT(gate.asked == KIB);
  KJ_EXPECT(f.count(251).more == 0);
}

KJ_TEST("the first images that are whole are known by their roots") {
  Pins f;
  f.addImage({1});
  f.store->keep(cidOf(2))->put(cidOf(2), block(2));
  auto draft = f.store->begin();
  draft->put(cidOf(3), block(3));
  f.addImage({4});
  f.addImage({5});
  auto roots = f.store->wholeRoots(2);
  KJ_EXPECT(roots.size() == 2 && roots[0] == cidOf(1) && roots[1] == cidOf(4));
  KJ_EXPECT(f.store->wholeRoots(100).size() == 3);
}

}  // namespace
}  // namespace ww
