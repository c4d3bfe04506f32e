#pragma once
// The functions of WASI 0.2 and of wetware:streams that the SDK calls, declared by hand in terms of
// the component model's canonical ABI. wit/ declares the same for the build's last step; the two
// must agree, and that step fails when they do not.
//
// A handle names a resource of this guest's and is given back with its drop function. A stream's
// pollable does not have to be dropped before its stream on this host; elsewhere it does.

#include <stddef.h>
#include <stdint.h>

#define WW_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

namespace ww::wasi {

using Handle = int32_t;
constexpr Handle NO_HANDLE = -1;

struct List {
  void* ptr;
  size_t len;
};

// result<list<u8>, stream-error>
struct ReadResult {
  uint8_t isErr;
  union {
    struct { uint8_t* ptr; size_t len; } ok;
    struct { uint8_t tag; Handle error; } err;  // tag 0: last-operation-failed(error), 1: closed
  };
};
static_assert(sizeof(ReadResult) == 12 && offsetof(ReadResult, ok) == 4);

// result<u64, stream-error>
struct CheckWriteResult {
  uint8_t isErr;
  union {
    uint64_t ok;
    struct { uint8_t tag; Handle error; } err;
  };
};
static_assert(sizeof(CheckWriteResult) == 16 && offsetof(CheckWriteResult, ok) == 8);

// result<_, stream-error>
struct WriteResult {
  uint8_t isErr;
  struct { uint8_t tag; Handle error; } err;
};
static_assert(sizeof(WriteResult) == 12);

struct DateTime {
  uint64_t seconds;
  uint32_t nanoseconds;
};

extern "C" {

WW_IMPORT("wasi:io/error@0.2.9", "[resource-drop]error") void ww_error_drop(Handle self);

WW_IMPORT("wasi:io/poll@0.2.9", "[method]pollable.ready") int32_t ww_pollable_ready(Handle self);
WW_IMPORT("wasi:io/poll@0.2.9", "[method]pollable.block") void ww_pollable_block(Handle self);
WW_IMPORT("wasi:io/poll@0.2.9", "[resource-drop]pollable") void ww_pollable_drop(Handle self);
WW_IMPORT("wasi:io/poll@0.2.9", "poll") void ww_poll(const Handle* in, size_t len, List* ret);

WW_IMPORT("wasi:io/streams@0.2.9", "[method]input-stream.read")
void ww_input_stream_read(Handle self, uint64_t len, ReadResult* ret);
WW_IMPORT("wasi:io/streams@0.2.9", "[method]input-stream.blocking-read")
void ww_input_stream_blocking_read(Handle self, uint64_t len, ReadResult* ret);
WW_IMPORT("wasi:io/streams@0.2.9", "[method]input-stream.subscribe")
Handle ww_input_stream_subscribe(Handle self);
WW_IMPORT("wasi:io/streams@0.2.9", "[resource-drop]input-stream")
void ww_input_stream_drop(Handle self);

WW_IMPORT("wasi:io/streams@0.2.9", "[method]output-stream.check-write")
void ww_output_stream_check_write(Handle self, CheckWriteResult* ret);
WW_IMPORT("wasi:io/streams@0.2.9", "[method]output-stream.write")
void ww_output_stream_write(Handle self, const uint8_t* ptr, size_t len, WriteResult* ret);
WW_IMPORT("wasi:io/streams@0.2.9", "[method]output-stream.blocking-write-and-flush")
void ww_output_stream_blocking_write_and_flush(Handle self, const uint8_t* ptr, size_t len,
                                               WriteResult* ret);
WW_IMPORT("wasi:io/streams@0.2.9", "[method]output-stream.subscribe")
Handle ww_output_stream_subscribe(Handle self);
WW_IMPORT("wasi:io/streams@0.2.9", "[resource-drop]output-stream")
void ww_output_stream_drop(Handle self);

WW_IMPORT("wasi:clocks/monotonic-clock@0.2.9", "now") uint64_t ww_monotonic_now();
WW_IMPORT("wasi:clocks/monotonic-clock@0.2.9", "subscribe-duration")
Handle ww_subscribe_duration(uint64_t ns);
WW_IMPORT("wasi:clocks/monotonic-clock@0.2.9", "resolution") uint64_t ww_monotonic_resolution();
WW_IMPORT("wasi:clocks/wall-clock@0.2.9", "now") void ww_wall_now(DateTime* ret);
WW_IMPORT("wasi:clocks/wall-clock@0.2.9", "resolution") void ww_wall_resolution(DateTime* ret);

WW_IMPORT("wasi:random/random@0.2.9", "get-random-bytes")
void ww_get_random_bytes(uint64_t len, List* ret);

WW_IMPORT("wasi:cli/environment@0.2.9", "get-arguments") void ww_get_arguments(List* ret);
WW_IMPORT("wasi:cli/environment@0.2.9", "get-environment") void ww_get_environment(List* ret);
WW_IMPORT("wasi:cli/exit@0.2.9", "exit-with-code") void ww_exit_with_code(int32_t code);
WW_IMPORT("wasi:cli/stdin@0.2.9", "get-stdin") Handle ww_get_stdin();
WW_IMPORT("wasi:cli/stdout@0.2.9", "get-stdout") Handle ww_get_stdout();
WW_IMPORT("wasi:cli/stderr@0.2.9", "get-stderr") Handle ww_get_stderr();

WW_IMPORT("wetware:streams/streams@0.1.0", "create-connection") Handle ww_create_connection();
WW_IMPORT("wetware:streams/streams@0.1.0", "[method]connection.get-input-stream")
Handle ww_connection_get_input_stream(Handle self);
WW_IMPORT("wetware:streams/streams@0.1.0", "[method]connection.get-output-stream")
Handle ww_connection_get_output_stream(Handle self);
WW_IMPORT("wetware:streams/streams@0.1.0", "[resource-drop]connection")
void ww_connection_drop(Handle self);

}  // extern "C"

// Where the host puts the next list that it returns, instead of into memory of its own asking: a
// read lands in the reader's buffer. Holds for one list that fits, while this lives.
class PlaceNextList {
 public:
  PlaceNextList(void* space, size_t size);
  ~PlaceNextList();
  PlaceNextList(const PlaceNextList&) = delete;
  PlaceNextList& operator=(const PlaceNextList&) = delete;
};

// A handle that is dropped with this object.
template <void (*drop)(Handle)>
class Owned {
 public:
  explicit Owned(Handle handle = NO_HANDLE): handle(handle) {}
  ~Owned() { reset(); }
  Owned(Owned&& other): handle(other.handle) { other.handle = NO_HANDLE; }
  Owned& operator=(Owned&&) = delete;

  Handle operator*() const { return handle; }
  explicit operator bool() const { return handle != NO_HANDLE; }
  void adopt(Handle other) {
    reset();
    handle = other;
  }
  void reset() {
    if (handle != NO_HANDLE) drop(handle);
    handle = NO_HANDLE;
  }

 private:
  Handle handle;
};

}  // namespace ww::wasi
