// Takes what it can get, or loops, or overflows its stack: without a library, so that nothing but
// the host's own limits is in its way. Its first argument is what to do, the second a count.
//
//   memory            touches all the memory that it gets, says `full`, and waits for an hour
//   tables N          grows a table by N; ok if that was granted
//   timers N          holds N timers;   timers-dropped N   one after the other
//   streams N         holds its stdout N times
//   drop-twice        drops a timer twice
//   random N          asks for N random bytes at once
//   write N           hands N bytes to the host at once
//
// Built as another component each, as they come before any argument is read:
//   WW_SPIN_IN_REALLOC, WW_RECURSE_IN_REALLOC   whenever the host asks for room
//   WW_RECURSE                                  in `run`

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) extern "C" __attribute__((export_name(name)))

extern "C" {
struct Text { const char* text; unsigned size; };
struct List { Text* items; unsigned size; };
struct WriteResult { unsigned char isErr; int error[2]; };

IMPORT("wasi:cli/environment@0.2.9", "get-arguments") void getArguments(List*);
IMPORT("wasi:cli/stdout@0.2.9", "get-stdout") int getStdout();
IMPORT("wasi:io/streams@0.2.9", "[method]output-stream.write")
void write(int stream, const char* bytes, unsigned size, WriteResult*);
IMPORT("wasi:clocks/monotonic-clock@0.2.9", "subscribe-duration") int subscribeDuration(
    unsigned long long);
IMPORT("wasi:io/poll@0.2.9", "[method]pollable.block") void block(int pollable);
IMPORT("wasi:io/poll@0.2.9", "[resource-drop]pollable") void dropPollable(int pollable);
IMPORT("wasi:random/random@0.2.9", "get-random-bytes") void getRandomBytes(unsigned long long,
                                                                           List*);
}

constexpr unsigned long long HOUR = 3'600'000'000'000;
constexpr unsigned PAGE = 65536, HOST_PAGE = 4096;

static __externref_t table[0];
static char room[8 << 20];
static unsigned taken;

// Ends only in theory: the stack is used up long before the count wraps.
[[gnu::noinline]] static unsigned recurse(volatile unsigned* above) {
  volatile unsigned here = *above + 1;
  return here == 0 ? 0 : recurse(&here) + here;
}

[[maybe_unused]] static unsigned recurseForEver() {
  volatile unsigned start = 0;
  return recurse(&start);
}

EXPORT("cabi_realloc") void* realloc(void*, unsigned, unsigned align, unsigned size) {
#ifdef WW_SPIN_IN_REALLOC
  for (volatile unsigned i = 0;; i = i + 1) {}
#endif
#ifdef WW_RECURSE_IN_REALLOC
  return room + recurseForEver();
#endif
  taken = (taken + align - 1) / align * align;
  if (size > sizeof(room) - taken) __builtin_trap();
  taken += size;
  return room + taken - size;
}

static bool is(Text text, const char* word) {
  unsigned i = 0;
  while (i < text.size && word[i] == text.text[i]) i++;
  return i == text.size && word[i] == 0;
}

static unsigned number(Text text) {
  unsigned value = 0;
  for (unsigned i = 0; i < text.size; i++) value = value * 10 + unsigned(text.text[i] - '0');
  return value;
}

static unsigned takeMemory() {
  for (;;) {
    auto page = __builtin_wasm_memory_grow(0, 16);
    if (page == ~0ul) break;
    for (unsigned i = 0; i < 16 * PAGE; i += HOST_PAGE) {
      *reinterpret_cast<volatile char*>(page * PAGE + i) = 1;
    }
  }
  WriteResult result;
  write(getStdout(), "full", 4, &result);
  block(subscribeDuration(HOUR));
  return 0;
}

EXPORT("wasi:cli/run@0.2.9#run") unsigned run() {
#ifdef WW_RECURSE
  return recurseForEver();
#endif
  List args{};
  getArguments(&args);
  if (args.size == 0) return 1;
  auto mode = args.items[0];
  auto count = args.size > 1 ? number(args.items[1]) : 0;
  List list{};
  WriteResult result{};
  if (is(mode, "memory")) return takeMemory();
  if (is(mode, "tables")) {
    return __builtin_wasm_table_grow(table, __builtin_wasm_ref_null_extern(), int(count)) < 0;
  }
  if (is(mode, "timers")) {
    for (unsigned i = 0; i < count; i++) subscribeDuration(HOUR);
  } else if (is(mode, "timers-dropped")) {
    for (unsigned i = 0; i < count; i++) dropPollable(subscribeDuration(HOUR));
  } else if (is(mode, "streams")) {
    for (unsigned i = 0; i < count; i++) getStdout();
  } else if (is(mode, "drop-twice")) {
    auto timer = subscribeDuration(HOUR);
    dropPollable(timer);
    dropPollable(timer);
  } else if (is(mode, "random")) {
    getRandomBytes(count, &list);
  } else if (is(mode, "write")) {
    write(getStdout(), room, count, &result);
  } else {
    return 1;
  }
  return 0;
}
