#include <ww/base/recycled.h>

#include <kj/memory.h>
#include <kj/refcount.h>
#include <kj/test.h>
#include <kj/thread.h>
#include <kj/vector.h>
#include <stdint.h>
#include <string.h>

namespace ww {
namespace {

struct Base {
  virtual ~Base() noexcept(false) {}
};

struct Small: public Base, public Recycled<Small, 4> {
  explicit Small(kj::byte fill = 0) { memset(bytes, fill, sizeof(bytes)); }
  kj::byte bytes[200];
};
struct Larger: public Small {
  kj::byte more[1000];
};
struct Counted: public kj::Refcounted, public Recycled<Counted> {
  kj::byte bytes[3000];
};

struct alignas(128) Aligned: public kj::AtomicRefcounted, public Recycled<Aligned> {
  kj::byte bytes[300];
};

#ifdef WW_NOTHING_RECYCLED
constexpr bool RECYCLED = false;
#else
constexpr bool RECYCLED = true;
#endif

template <typename T>
bool isRecycled() {
  kj::Own<T> first = kj::heap<T>();
  const void* at = first.get();
  first = nullptr;
  auto between = kj::heapArray<kj::byte>(sizeof(T));  // takes what the heap got back
  auto second = kj::heap<T>();
  return second.get() == at;
}

KJ_TEST("what an object leaves is the next one's, through a base and by count too") {
  KJ_EXPECT(isRecycled<Small>() == RECYCLED);
  kj::Own<Base> one = kj::heap<Small>();
  auto at = one.get();
  one = nullptr;
  auto between = kj::heapArray<kj::byte>(sizeof(Small));
  kj::Own<Base> two = kj::heap<Small>();
  KJ_EXPECT((two.get() == at) == RECYCLED);

  auto counted = kj::refcounted<Counted>();
  auto other = kj::addRef(*counted);
  const void* place = counted.get();
  counted = nullptr;
  KJ_EXPECT(kj::refcounted<Counted>().get() != place);  // `other` is there
  other = nullptr;
  auto bytes = kj::heapArray<kj::byte>(sizeof(Counted));
  KJ_EXPECT((kj::refcounted<Counted>().get() == place) == RECYCLED);
}

KJ_TEST("what is aligned more than the heap aligns is so again") {
  auto isAligned = [](const Aligned& object) { return uintptr_t(&object) % 128 == 0; };
  auto first = kj::atomicRefcounted<Aligned>();
  const void* at = first.get();
  KJ_EXPECT(isAligned(*first));
  first = nullptr;
  auto between = kj::heapArray<kj::byte>(sizeof(Aligned) + 128);
  auto second = kj::atomicRefcounted<Aligned>();
  auto third = kj::atomicRefcounted<Aligned>();
  KJ_EXPECT(isAligned(*second) && isAligned(*third));
  KJ_EXPECT((second.get() == at) == RECYCLED);
}

KJ_TEST("what is derived has room of its own size") {
  kj::Own<Base> small = kj::heap<Small>();
  small = nullptr;
  auto larger = kj::heap<Larger>();
  memset(larger->more, 0xff, sizeof(larger->more));
  auto next = kj::heap<Small>();
  memset(next->bytes, 0x11, sizeof(next->bytes));
  for (auto b: larger->more) KJ_ASSERT(b == 0xff);
  larger = nullptr;  // not for a Small: that would be seen by the sanitizers alone
}

KJ_TEST("objects that are there at once are apart, and few places are kept") {
  for (int round = 0; round < 3; round++) {
    kj::Vector<kj::Own<Small>> held;
    for (kj::byte i = 0; i < 100; i++) held.add(kj::heap<Small>(i));
    for (kj::byte i = 0; i < 100; i++) {
      for (auto b: held[i]->bytes) KJ_ASSERT(b == i);
    }
  }
}

// Goes after the places of its thread, and drops and makes one then.
struct Late {
  explicit Late(bool& done): done(&done) {}
  ~Late() noexcept(false) {
    kept = nullptr;
    auto another = kj::heap<Small>();
    another = nullptr;
    *done = true;
  }
  kj::Own<Small> kept;
  bool* done;
};

KJ_TEST("what is dropped on another thread is that one's; one that ends may drop to its last") {
  auto mine = kj::heap<Small>();
  const void* at = mine.get();
  bool done = false;
  kj::Thread([&]() {
    static thread_local Late late(done);  // made first, so that it goes last
    late.kept = kj::heap<Small>();
    mine = nullptr;
    auto between = kj::heapArray<kj::byte>(sizeof(Small));
    KJ_EXPECT((kj::heap<Small>().get() == at) == RECYCLED);
  });
  KJ_EXPECT(done);
}

}  // namespace
}  // namespace ww
