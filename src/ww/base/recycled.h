#pragma once
// Memory of objects that come and go with every message and every cell: what one leaves is the next
// one's of its kind, on the thread where it was dropped. `class Foo: public Recycled<Foo>`, made by
// kj::heap(), kj::refcounted() or kj::atomicRefcounted(); what is derived from a Foo is the heap's,
// as is what is dropped when MOST of them lie unused. Under the address sanitizer all is the
// heap's, which sees what is used too late; and a guest's own heap is made of such lists.

#include <stddef.h>

#include <array>
#include <new>

namespace ww {

#if defined(__wasm__) || defined(__SANITIZE_ADDRESS__)
#define WW_NOTHING_RECYCLED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WW_NOTHING_RECYCLED 1
#endif
#endif

#ifdef WW_NOTHING_RECYCLED
template <typename T, size_t MOST = 32>
class Recycled {};
#else
template <typename T, size_t MOST = 32>
class Recycled {
 public:
  static void* operator new(size_t size) {
    static_assert(!IS_OVER_ALIGNED<T>);
    return isSpare(size) ? spare.places[--spare.count] : ::operator new(size);
  }
  static void operator delete(void* place, size_t size) {
    if (!keep(place, size)) ::operator delete(place, size);
  }

  // Of those that are alignas() more than the heap gives.
  static void* operator new(size_t size, std::align_val_t alignment) {
    static_assert(IS_OVER_ALIGNED<T>);
    return isSpare(size) ? spare.places[--spare.count] : ::operator new(size, alignment);
  }
  static void operator delete(void* place, size_t size, std::align_val_t alignment) {
    if (!keep(place, size)) ::operator delete(place, size, alignment);
  }

 private:
  template <typename U>
  static constexpr bool IS_OVER_ALIGNED = alignof(U) > __STDCPP_DEFAULT_NEW_ALIGNMENT__;

  static bool isSpare(size_t size) { return size == sizeof(T) && spare.count > 0; }
  static bool keep(void* place, size_t size) {
    if (size != sizeof(T) || spare.count == spare.most) return false;
    if (spare.count == 0) cleaner.isNeeded = true;
    spare.places[spare.count++] = place;
    return true;
  }

  // Has no destructor: what is dropped while its thread ends finds it.
  struct Spare {
    std::array<void*, MOST> places;
    size_t count, most;
  };
  struct Cleaner {
    ~Cleaner() {
      spare.most = 0;
      while (spare.count > 0) {
        auto place = spare.places[--spare.count];
        if constexpr (IS_OVER_ALIGNED<T>) {
          ::operator delete(place, sizeof(T), std::align_val_t(alignof(T)));
        } else {
          ::operator delete(place, sizeof(T));
        }
      }
    }
    bool isNeeded = false;  // being written makes the thread have one
  };
  static inline thread_local constinit Spare spare{{}, 0, MOST};
  static inline thread_local Cleaner cleaner;
};
#endif

}  // namespace ww
