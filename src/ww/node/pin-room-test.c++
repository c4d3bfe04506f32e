// The bookkeeping of what is pinned and being kept, with counts that see and end what a test says.
#include <ww/node/pin-room.h>

#include <kj/async.h>
#include <kj/test.h>
#include <string.h>

namespace ww {
namespace {

Cid cidOf(kj::StringPtr name) { return Cid::of(Cid::RAW, name.asBytes()); }

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};

  // A store's images, as counts find them.
  struct Image {
    uint64_t bytes = 0;
    bool pinned = false, whole = true;
  };
  kj::HashMap<Cid, Image> store;

  struct Count {
    kj::Array<Cid> roots;
    kj::Own<kj::PromiseFulfiller<ImageStore::PinnedBytes>> fulfiller;
  };
  kj::Vector<Count> counts;  // that were begun
  PinRoom room{0, [this](kj::Array<Cid> roots) {
    auto counted = kj::newPromiseAndFulfiller<ImageStore::PinnedBytes>();
    counts.add(Count{kj::mv(roots), kj::mv(counted.fulfiller)});
    return kj::mv(counted.promise);
  }};

  Image& at(kj::StringPtr name) {
    return store.findOrCreate(cidOf(name), [&]() {
      return kj::HashMap<Cid, Image>::Entry{cidOf(name), Image()};
    });
  }

  // What a count has that looks at the store now.
  ImageStore::PinnedBytes look(Count& count) {
    ImageStore::PinnedBytes seen;
    for (auto& image: store) seen.pinned += image.value.pinned ? image.value.bytes : 0;
    seen.images = KJ_MAP(root, count.roots) {
      ImageStore::CountedImage counted;
      KJ_IF_MAYBE(image, store.find(root)) {
        counted.pinned = image->pinned;
        counted.whole = image->whole;
        counted.bytes = image->bytes;
        counted.more = image->pinned ? 0 : image->bytes;
      }
      return counted;
    };
    return seen;
  }
  Count& begun() {
    waitScope.poll();
    return counts.back();
  }
  void end(Count& count, ImageStore::PinnedBytes seen) {
    count.fulfiller->fulfill(kj::mv(seen));
    waitScope.poll();
  }
  void count(PinRoom::Claim& claim) {
    auto promise = claim.count();
    auto& count = begun();
    end(count, look(count));
    promise.wait(waitScope);
  }
  void pin(PinRoom::Claim& claim, kj::StringPtr name) {
    at(name).pinned = true;
    claim.setPinned();
  }

  // By the error of a room for nothing.
  uint64_t taken() {
    PinRoom::Claim any(room, cidOf("any"));
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { any.requireRoom(); })) {
      auto number = strstr(e->getDescription().cStr(), "have ");
      KJ_ASSERT(number != nullptr);
      return strtoull(number + strlen("have "), nullptr, 10);
    }
    return 0;
  }
};

KJ_TEST("who comes while a count runs shares the next one, of all that is being kept then") {
  Fixture f;
  PinRoom::Claim one(f.room, cidOf("one")), two(f.room, cidOf("two"));
  auto first = one.count();
  f.begun();
  KJ_EXPECT(f.counts.size() == 1 && f.counts[0].roots.size() == 2);
  PinRoom::Claim three(f.room, cidOf("three"));
  auto second = two.count(), third = three.count(), again = two.count();
  KJ_EXPECT(!first.poll(f.waitScope) && !second.poll(f.waitScope) && f.counts.size() == 1);
  f.end(f.counts[0], f.look(f.counts[0]));
  KJ_EXPECT(first.poll(f.waitScope) && !second.poll(f.waitScope) && !third.poll(f.waitScope));
  KJ_ASSERT(f.counts.size() == 2 && f.counts[1].roots.size() == 3);
  auto late = one.count();
  f.at("three").bytes = 3;
  f.end(f.counts[1], f.look(f.counts[1]));
  KJ_EXPECT(second.poll(f.waitScope) && third.poll(f.waitScope) && again.poll(f.waitScope));
  KJ_EXPECT(!late.poll(f.waitScope) && f.counts.size() == 3);
  KJ_EXPECT(three.getCounted().bytes == 3 && two.getCounted().bytes == 0);
}

KJ_TEST("a count that fails is for those who asked for it, and not for the next") {
  Fixture f;
  PinRoom::Claim one(f.room, cidOf("one")), two(f.room, cidOf("two"));
  auto first = one.count();
  f.begun();
  auto second = two.count();
  f.counts[0].fulfiller->reject(KJ_EXCEPTION(FAILED, "a bad disk"));
  KJ_EXPECT_THROW_MESSAGE("a bad disk", first.wait(f.waitScope));
  auto& count = f.begun();
  f.end(count, f.look(count));
  second.wait(f.waitScope);
}

KJ_TEST("a count goes on without those who asked for it") {
  Fixture f;
  PinRoom::Claim one(f.room, cidOf("one"));
  {
    auto dropped = one.count();
    f.begun();
  }
  auto next = one.count();
  KJ_EXPECT(!next.poll(f.waitScope) && f.counts.size() == 1);
  f.end(f.counts[0], f.look(f.counts[0]));
  KJ_EXPECT(!next.poll(f.waitScope) && f.counts.size() == 2);
}

KJ_TEST("what is pinned counts once, whenever a count sees it") {
  // Before a count begins, before it has looked, and after.
  for (int moment: {0, 1, 2}) {
    Fixture f;
    f.at("before") = {100, true, true};
    f.at("one").bytes = 10;
    f.at("two").bytes = 1;
    PinRoom::Claim two(f.room, cidOf("two"));
    auto one = kj::heap<PinRoom::Claim>(f.room, cidOf("one"));
    f.count(two);
    KJ_EXPECT(f.taken() == 111);
    auto pin = [&](int when) {
      if (when != moment) return;
      f.pin(*one, "one");
      one = nullptr;
      KJ_EXPECT(f.taken() == 111, moment);
    };
    pin(0);
    auto counting = two.count();
    auto& count = f.begun();
    KJ_EXPECT(f.taken() == 111, moment);
    pin(1);
    auto seen = f.look(count);
    pin(2);
    f.end(count, kj::mv(seen));
    KJ_EXPECT(f.taken() == 111, f.taken(), moment);
    f.count(two);
    KJ_EXPECT(f.taken() == 111, f.taken(), moment);
    f.at("one").pinned = false;  // its operator's
    f.count(two);
    KJ_EXPECT(f.taken() == 101, f.taken(), moment);
  }
}

KJ_TEST("an image that two keep counts once, also where one has it pinned as the other counts") {
  Fixture f;
  f.at("one").bytes = 10;
  auto first = kj::heap<PinRoom::Claim>(f.room, cidOf("one"));
  PinRoom::Claim second(f.room, cidOf("one"));
  f.count(*first);
  KJ_EXPECT(f.taken() == 10);
  auto counting = second.count();
  auto& count = f.begun();
  auto seen = f.look(count);
  f.pin(*first, "one");
  first = nullptr;
  f.end(count, kj::mv(seen));
  KJ_EXPECT(f.taken() == 10, f.taken());
  f.pin(second, "one");
  KJ_EXPECT(f.taken() == 10, f.taken());
  f.count(second);
  KJ_EXPECT(f.taken() == 10, f.taken());
}

KJ_TEST("what comes as a count runs is not forgotten, and of what is whole the count is right") {
  Fixture f;
  auto& image = f.at("one") = {10, false, false};
  PinRoom::Claim one(f.room, cidOf("one"));
  auto take = [&](size_t bytes) { KJ_EXPECT_THROW_MESSAGE("peers may pin", one.take(bytes)); };
  f.count(one);
  auto counting = one.count();
  auto& count = f.begun();
  auto seen = f.look(count);
  take(5);
  KJ_EXPECT(f.taken() == 15);
  f.end(count, kj::mv(seen));
  KJ_EXPECT(f.taken() == 15);
  image = {12, false, true};  // some are pinned by now
  f.count(one);
  KJ_EXPECT(f.taken() == 12);
}

KJ_TEST("what is being kept counts as long as anybody keeps it") {
  Fixture f;
  f.at("one").bytes = 10;
  auto first = kj::heap<PinRoom::Claim>(f.room, cidOf("one"));
  auto second = kj::heap<PinRoom::Claim>(f.room, cidOf("one"));
  f.count(*first);
  first = nullptr;
  KJ_EXPECT(f.taken() == 10);
  second = nullptr;
  KJ_EXPECT(f.taken() == 0);
}

}  // namespace
}  // namespace ww
