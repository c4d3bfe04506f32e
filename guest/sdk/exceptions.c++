// The C++ exception runtime of a guest (-fwasm-exceptions).
//
// The distribution's libc++abi for wasm32 is built without exceptions and it packages no libunwind,
// so the part of the Itanium C++ ABI's exception runtime that compiled code calls is here. One
// thread, no foreign exceptions, no dependent exceptions (std::exception_ptr).
#include <exception>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <typeinfo>

// The tag that every C++ throw and catch uses. clang 22 only refers to it; LLVM defines it in
// libunwind.
__asm__(".globl __cpp_exception\n"
        ".tagtype __cpp_exception i32\n"
        "__cpp_exception:\n");

namespace {

// The head of a thrown object's allocation; WebAssembly's throw carries a pointer to it.
struct alignas(16) Header {
  std::type_info* type;
  void* (*destructor)(void*);  // on WebAssembly a destructor returns its argument
  void* adjusted;              // the object as the type the catch clause names
  Header* nextCaught;
  int handlers;                // catch clauses it is in; negative once rethrown

  void* object() { return this + 1; }
};

// The first members of the globals that libc++abi keeps and KJ peeks into.
struct Globals {
  Header* caught;
  unsigned int uncaught;
};
extern "C" Globals* __cxa_get_globals();

// libc++abi's std::type_info implementations have these virtual functions after the destructor.
struct CatchableType: std::type_info {
  virtual void noop1() const;
  virtual void noop2() const;
  virtual bool canCatch(const std::type_info* thrown, void*& object) const = 0;
};

// ---------------------------------------------------------------------------------------------
// The tables the compiler emits per function (language-specific data area)

class Cursor {
 public:
  explicit Cursor(const uint8_t* pos): pos(pos) {}
  uint8_t byte() { return *pos++; }
  uintptr_t uleb() {
    uintptr_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      uint8_t b = byte();
      value |= uintptr_t(b & 0x7f) << shift;
      if (!(b & 0x80)) return value;
    }
  }
  intptr_t sleb() {
    intptr_t value = 0;
    for (unsigned shift = 0;;) {
      uint8_t b = byte();
      value |= intptr_t(b & 0x7f) << shift;
      shift += 7;
      if (!(b & 0x80)) {
        if ((b & 0x40) && shift < sizeof(value) * 8) value |= ~intptr_t(0) << shift;
        return value;
      }
    }
  }
  const uint8_t* pos;
};

constexpr uint8_t ENCODING_ABSOLUTE = 0x00;
constexpr uint8_t ENCODING_OMITTED = 0xff;

// Which catch clause of landing pad `index` takes the exception: its position in the function's
// type table, or 0 for none (run clean-ups and unwind on).
uintptr_t selectClause(const uint8_t* tables, uintptr_t index, Header* exception) {
  if (tables == nullptr) return 0;
  Cursor cursor(tables);
  if (cursor.byte() != ENCODING_OMITTED) abort();  // landing pads have no addresses here
  const std::type_info* const* types = nullptr;
  uint8_t typeEncoding = cursor.byte();
  if (typeEncoding != ENCODING_OMITTED) {
    if (typeEncoding != ENCODING_ABSOLUTE) abort();
    uintptr_t offset = cursor.uleb();
    types = reinterpret_cast<const std::type_info* const*>(cursor.pos + offset);
  }
  cursor.byte();  // call-site encoding: always uleb128 here
  uintptr_t callSitesSize = cursor.uleb();
  const uint8_t* actions = cursor.pos + callSitesSize;
  if (cursor.pos == actions) return 0;
  uintptr_t action = 0;
  for (uintptr_t i = 0; i <= index; i++) {
    cursor.uleb();  // the landing pad itself
    action = cursor.uleb();
  }
  if (action == 0) return 0;

  Cursor entry(actions + action - 1);
  for (;;) {
    intptr_t clause = entry.sleb();
    if (clause < 0) abort();  // dynamic exception specifications: gone from the language
    if (clause > 0) {
      auto type = static_cast<const CatchableType*>(types[-clause]);
      void* object = exception->object();
      if (type == nullptr || type->canCatch(exception->type, object)) {
        exception->adjusted = object;
        return clause;
      }
    }
    const uint8_t* here = entry.pos;
    intptr_t next = entry.sleb();
    if (next == 0) return 0;
    entry.pos = here + next;
  }
}

[[noreturn]] void raise(Header* exception) {
  __cxa_get_globals()->uncaught++;
  __builtin_wasm_throw(0, exception);  // tag 0: __cpp_exception
}

}  // namespace

extern "C" {

// Filled in by a landing pad before it calls _Unwind_CallPersonality, read by it after.
struct LandingPad {
  uintptr_t index;
  const uint8_t* tables;
  uintptr_t selector;
};
thread_local LandingPad __wasm_lpad_context;

int _Unwind_CallPersonality(void* exception) {
  auto& pad = __wasm_lpad_context;
  pad.selector = selectClause(pad.tables, pad.index, static_cast<Header*>(exception));
  return 0;
}

void* __cxa_allocate_exception(size_t size) {
  auto header = static_cast<Header*>(
      aligned_alloc(alignof(Header), (sizeof(Header) + size + 15) & ~size_t(15)));
  if (header == nullptr) abort();
  *header = Header{};
  return header->object();
}

void __cxa_free_exception(void* object) { free(static_cast<Header*>(object) - 1); }

[[noreturn]] void __cxa_throw(void* object, std::type_info* type, void* (*destructor)(void*)) {
  auto header = static_cast<Header*>(object) - 1;
  header->type = type;
  header->destructor = destructor;
  raise(header);
}

void* __cxa_get_exception_ptr(void* exception) { return static_cast<Header*>(exception)->adjusted; }

void* __cxa_begin_catch(void* exception) {
  auto header = static_cast<Header*>(exception);
  auto globals = __cxa_get_globals();
  header->handlers = (header->handlers < 0 ? -header->handlers : header->handlers) + 1;
  if (globals->caught != header) {
    header->nextCaught = globals->caught;
    globals->caught = header;
  }
  globals->uncaught--;
  return header->adjusted;
}

void __cxa_end_catch() {
  auto globals = __cxa_get_globals();
  auto header = globals->caught;
  if (header == nullptr) return;
  if (header->handlers < 0) {
    // Leaving a clause that rethrew: an outer one will take it, do not destroy it.
    if (++header->handlers == 0) globals->caught = header->nextCaught;
  } else if (--header->handlers == 0) {
    globals->caught = header->nextCaught;
    if (header->destructor != nullptr) header->destructor(header->object());
    free(header);
  }
}

[[noreturn]] void __cxa_rethrow() {
  auto header = __cxa_get_globals()->caught;
  if (header == nullptr) std::terminate();
  header->handlers = -header->handlers;
  raise(header);
}

unsigned int __cxa_uncaught_exceptions() noexcept { return __cxa_get_globals()->uncaught; }
bool __cxa_uncaught_exception() noexcept { return __cxa_get_globals()->uncaught > 0; }

// Referenced by libc++'s std::exception_ptr, which this runtime does not support.
void __cxa_increment_exception_refcount(void*) noexcept {}
void __cxa_decrement_exception_refcount(void*) noexcept {}
void* __cxa_current_primary_exception() noexcept { return nullptr; }
void __cxa_rethrow_primary_exception(void*) { std::terminate(); }

}  // extern "C"
