// new and delete with a free list for each size, in front of malloc: a call allocates some thirty
// objects of few sizes, and frees them again. What more than KEPT_BYTES of one size would keep goes
// back to malloc, which makes larger pieces of it again.

#include <array>
#include <malloc.h>
#include <new>
#include <stdint.h>
#include <stdlib.h>

namespace ww {
namespace {

// Sizes are 8 bytes more than multiples of 16: malloc has nothing to spare for others.
constexpr size_t STEP = 16, LEAST = 8, CLASSES = 130;
constexpr size_t MOST = LEAST + STEP * (CLASSES - 1);
constexpr size_t KEPT_BYTES = 32 << 10;

struct Free {
  Free* next;
};

struct List {
  Free* first = nullptr;
  uint32_t count = 0;
};

std::array<List, CLASSES> lists;

// The smallest that such an object fits into.
constexpr size_t classOf(size_t bytes) {
  return bytes <= LEAST ? 0 : (bytes - LEAST + STEP - 1) / STEP;
}
constexpr size_t bytesOf(size_t index) { return LEAST + STEP * index; }
static_assert(classOf(MOST) == CLASSES - 1 && bytesOf(classOf(1024)) >= 1024);

void* allocate(size_t bytes) {
  if (bytes > MOST) return malloc(bytes);
  auto index = classOf(bytes);
  auto& list = lists[index];
  if (list.first == nullptr) return malloc(bytesOf(index));
  auto block = list.first;
  list.first = block->next;
  --list.count;
  return block;
}

void keep(void* object, size_t index) {
  auto& list = lists[index];
  if (list.count * bytesOf(index) >= KEPT_BYTES) return free(object);
  auto block = static_cast<Free*>(object);
  block->next = list.first;
  list.first = block;
  ++list.count;
}

void release(void* object) {
  if (object == nullptr) return;
  // The largest whose objects fit into it.
  auto bytes = malloc_usable_size(object);
  if (bytes < LEAST || bytes > MOST + STEP) return free(object);
  auto index = (bytes - LEAST) / STEP;
  keep(object, index < CLASSES ? index : CLASSES - 1);
}

void release(void* object, size_t bytes) {
  if (object == nullptr) return;
  if (bytes > MOST) return free(object);
  keep(object, classOf(bytes));
}

void* allocateOrThrow(size_t bytes) {
  auto object = allocate(bytes);
  if (object == nullptr) throw std::bad_alloc();
  return object;
}

}  // namespace
}  // namespace ww

void* operator new(size_t bytes) { return ww::allocateOrThrow(bytes); }
void* operator new[](size_t bytes) { return ww::allocateOrThrow(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return ww::allocate(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return ww::allocate(bytes); }
void operator delete(void* object) noexcept { ww::release(object); }
void operator delete[](void* object) noexcept { ww::release(object); }
void operator delete(void* object, size_t bytes) noexcept { ww::release(object, bytes); }
void operator delete[](void* object, size_t bytes) noexcept { ww::release(object, bytes); }
void operator delete(void* object, const std::nothrow_t&) noexcept { ww::release(object); }
void operator delete[](void* object, const std::nothrow_t&) noexcept { ww::release(object); }
