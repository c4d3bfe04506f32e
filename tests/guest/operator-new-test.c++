// The guests' new and delete (guest/sdk/operator-new.c++), here in front of this machine's malloc.
#include <kj/debug.h>
#include <kj/test.h>
#include <kj/vector.h>
#include <new>
#include <random>
#include <string.h>

namespace ww {
namespace {

struct Object {
  kj::byte* bytes;
  size_t size;
  kj::byte mark;

  bool isWhole() const {
    for (size_t i = 0; i < size; i++) {
      if (bytes[i] != mark) return false;
    }
    return true;
  }
};

Object make(size_t size, kj::byte mark) {
  auto bytes = static_cast<kj::byte*>(operator new(size));
  memset(bytes, mark, size);
  return {bytes, size, mark};
}

KJ_TEST("objects of all sizes are apart, however they are freed") {
  std::mt19937 random(7);
  kj::Vector<Object> live;
  for (int i = 0; i < 200'000; i++) {
    if (live.size() < 300 || (random() % 2 == 0 && live.size() < 3000)) {
      auto size = random() % 8 == 0 ? random() % 100'000 : random() % 2200;
      auto object = make(size, kj::byte(random()));
      KJ_ASSERT(reinterpret_cast<uintptr_t>(object.bytes) % alignof(max_align_t) == 0);
      live.add(object);
      continue;
    }
    auto index = random() % live.size();
    auto object = live[index];
    KJ_ASSERT(object.isWhole(), object.size);
    live[index] = live.back();
    live.removeLast();
    if (random() % 2 == 0) operator delete(object.bytes, object.size);
    else operator delete(object.bytes);
  }
  for (auto& object: live) {
    KJ_ASSERT(object.isWhole());
    operator delete(object.bytes);
  }
}

KJ_TEST("what is freed is used again, and only for what fits") {
  for (size_t size = 0; size < 2100; size++) {
    auto first = operator new(size);
    operator delete(first, size);
    auto second = operator new(size);
    KJ_EXPECT(first == second, size);
    auto larger = operator new(size + 16);
    KJ_EXPECT(larger != second);
    operator delete(larger, size + 16);
    operator delete(second);
  }
  operator delete(nullptr);
  operator delete(nullptr, size_t(8));
}

}  // namespace
}  // namespace ww
