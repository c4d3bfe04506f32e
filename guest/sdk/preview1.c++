// The part of WASI preview1 that wasi-libc calls in a guest, over WASI 0.2: with it a guest needs
// no adapter, and imports no more than it says in ww/wasi.h. Files are in preview1-files.c++.
// libc's imports have C names of their own, so defining those resolves them.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <algorithm>
#include <vector>
#include "ww/preview1.h"
#include "ww/wasi.h"

namespace ww::preview1 {

const FileCalls* fileCalls = nullptr;

}  // namespace ww::preview1

namespace {

using ww::preview1::fileCalls;

using ww::wasi::Handle;
using ww::wasi::List;

struct Pair {
  List name, value;
};

// The most that one blocking-write-and-flush takes.
constexpr size_t BLOCKING_WRITE_BYTES = 4096;

const List& arguments() {
  static List list = [] {
    List l{};
    ww::wasi::ww_get_arguments(&l);
    return l;
  }();
  return list;
}

const List& environment() {
  static List list = [] {
    List l{};
    ww::wasi::ww_get_environment(&l);
    return l;
  }();
  return list;
}

char* append(char* out, const List& text) {
  memcpy(out, text.ptr, text.len);
  return out + text.len;
}

bool isOutput(int fd) { return fd == 1 || fd == 2; }

Handle outputFor(int fd) {
  static Handle streams[2] = {ww::wasi::NO_HANDLE, ww::wasi::NO_HANDLE};
  Handle& stream = streams[fd - 1];
  if (stream == ww::wasi::NO_HANDLE) {
    stream = fd == 1 ? ww::wasi::ww_get_stdout() : ww::wasi::ww_get_stderr();
  }
  return stream;
}

Handle input() {
  static Handle stream = ww::wasi::ww_get_stdin();
  return stream;
}

uint64_t nanosecondsOf(const ww::wasi::DateTime& time) {
  return time.seconds * 1'000'000'000 + time.nanoseconds;
}

using ReadClock = uint64_t (*)();

ReadClock clockOf(int32_t id) {
  if (id == __WASI_CLOCKID_MONOTONIC) return ww::wasi::ww_monotonic_now;
  if (id != __WASI_CLOCKID_REALTIME) return nullptr;
  return [] {
    ww::wasi::DateTime now{};
    ww::wasi::ww_wall_now(&now);
    return nanosecondsOf(now);
  };
}

// What a program waits for: a pollable, which is ready at once where nothing is to be waited for.
struct Awaited {
  ww::wasi::Owned<ww::wasi::ww_pollable_drop> pollable;
  __wasi_errno_t error = 0;

  explicit Awaited(const __wasi_subscription_u_t& what) { pollable.adopt(subscribe(what)); }

  Handle subscribe(const __wasi_subscription_u_t& what) {
    if (what.tag == __WASI_EVENTTYPE_CLOCK) return subscribe(what.u.clock);
    auto fd = int(what.u.fd_read.file_descriptor);
    bool reads = what.tag == __WASI_EVENTTYPE_FD_READ;
    if (fd == 0 && reads) return ww::wasi::ww_input_stream_subscribe(input());
    if (isOutput(fd) && !reads) return ww::wasi::ww_output_stream_subscribe(outputFor(fd));
    __wasi_fdstat_t stat;  // a file can always be read and written
    error = fd > 2 && fileCalls != nullptr ? fileCalls->getStat(fd, &stat)
                                           : __WASI_ERRNO_BADF;
    return ww::wasi::ww_subscribe_duration(0);
  }

  Handle subscribe(const __wasi_subscription_clock_t& clock) {
    auto read = clockOf(int32_t(clock.id));
    if (read == nullptr) error = __WASI_ERRNO_INVAL;
    auto left = error == 0 ? clock.timeout : 0;
    if (left > 0 && (clock.flags & __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME) != 0) {
      left -= std::min(left, read());
    }
    return ww::wasi::ww_subscribe_duration(left);
  }
};

// False once the stream is closed.
bool writeAll(Handle stream, const uint8_t* bytes, size_t size) {
  while (size > 0) {
    size_t piece = size < BLOCKING_WRITE_BYTES ? size : BLOCKING_WRITE_BYTES;
    ww::wasi::WriteResult result{};
    ww::wasi::ww_output_stream_blocking_write_and_flush(stream, bytes, piece, &result);
    if (result.isErr) {
      if (result.err.tag == 0) ww::wasi::ww_error_drop(result.err.error);
      return false;
    }
    bytes += piece;
    size -= piece;
  }
  return true;
}

}  // namespace

extern "C" {

int __main_void();

#define P1(name) WW_PREVIEW1(name)

int32_t P1(args_sizes_get)(size_t* count, size_t* size) {
  *count = arguments().len;
  *size = 0;
  auto texts = static_cast<List*>(arguments().ptr);
  for (size_t i = 0; i < arguments().len; i++) *size += texts[i].len + 1;
  return 0;
}

int32_t P1(args_get)(char** argv, char* buffer) {
  auto texts = static_cast<List*>(arguments().ptr);
  for (size_t i = 0; i < arguments().len; i++) {
    argv[i] = buffer;
    buffer = append(buffer, texts[i]);
    *buffer++ = 0;
  }
  return 0;
}

int32_t P1(environ_sizes_get)(size_t* count, size_t* size) {
  *count = environment().len;
  *size = 0;
  auto pairs = static_cast<Pair*>(environment().ptr);
  for (size_t i = 0; i < environment().len; i++) {
    *size += pairs[i].name.len + pairs[i].value.len + 2;
  }
  return 0;
}

int32_t P1(environ_get)(char** environ, char* buffer) {
  auto pairs = static_cast<Pair*>(environment().ptr);
  for (size_t i = 0; i < environment().len; i++) {
    environ[i] = buffer;
    buffer = append(buffer, pairs[i].name);
    *buffer++ = '=';
    buffer = append(buffer, pairs[i].value);
    *buffer++ = 0;
  }
  return 0;
}

int32_t P1(clock_time_get)(int32_t id, uint64_t, uint64_t* time) {
  auto read = clockOf(id);
  if (read == nullptr) return __WASI_ERRNO_INVAL;
  *time = read();
  return 0;
}

int32_t P1(clock_res_get)(int32_t id, uint64_t* resolution) {
  if (clockOf(id) == nullptr) return __WASI_ERRNO_INVAL;
  if (id == __WASI_CLOCKID_MONOTONIC) {
    *resolution = ww::wasi::ww_monotonic_resolution();
  } else {
    ww::wasi::DateTime time{};
    ww::wasi::ww_wall_resolution(&time);
    *resolution = nanosecondsOf(time);
  }
  return 0;
}

int32_t P1(poll_oneoff)(const __wasi_subscription_t* in, __wasi_event_t* out, size_t count,
                        size_t* told) {
  if (count == 0) return __WASI_ERRNO_INVAL;
  std::vector<Awaited> awaited;
  std::vector<Handle> pollables;
  for (size_t i = 0; i < count; i++) pollables.push_back(*awaited.emplace_back(in[i].u).pollable);
  List ready{};
  ww::wasi::ww_poll(pollables.data(), count, &ready);
  for (size_t i = 0; i < ready.len; i++) {
    auto index = static_cast<uint32_t*>(ready.ptr)[i];
    out[i] = __wasi_event_t{};
    out[i].userdata = in[index].userdata;
    out[i].error = awaited[index].error;
    out[i].type = in[index].u.tag;
    out[i].fd_readwrite.nbytes = 1;  // at least
  }
  *told = ready.len;
  if (ready.len > 0) free(ready.ptr);
  return 0;
}

// In pieces, since the host has a limit of what it gives at once.
int32_t P1(random_get)(uint8_t* buffer, size_t size) {
  constexpr size_t PIECE = 4096;
  while (size > 0) {
    List bytes{};
    ww::wasi::ww_get_random_bytes(std::min(size, PIECE), &bytes);
    memcpy(buffer, bytes.ptr, bytes.len);
    free(bytes.ptr);
    buffer += bytes.len;
    size -= bytes.len;
  }
  return 0;
}

int32_t P1(sched_yield)() { return 0; }

// A guest has no sockets.
int32_t P1(sock_accept)(int, int32_t, int*) { return __WASI_ERRNO_NOTSOCK; }
int32_t P1(sock_recv)(int, const __wasi_iovec_t*, size_t, int32_t, size_t*, int32_t*) {
  return __WASI_ERRNO_NOTSOCK;
}
int32_t P1(sock_send)(int, const __wasi_ciovec_t*, size_t, int32_t, size_t*) {
  return __WASI_ERRNO_NOTSOCK;
}
int32_t P1(sock_shutdown)(int, int32_t) { return __WASI_ERRNO_NOTSOCK; }

int32_t P1(fd_write)(int fd, const __wasi_ciovec_t* pieces, size_t count, size_t* written) {
  if (fd > 2 && fileCalls != nullptr) return fileCalls->write(fd, pieces, count, written);
  if (!isOutput(fd)) return __WASI_ERRNO_BADF;
  *written = 0;
  for (size_t i = 0; i < count; i++) {
    if (!writeAll(outputFor(fd), pieces[i].buf, pieces[i].buf_len)) return __WASI_ERRNO_PIPE;
    *written += pieces[i].buf_len;
  }
  return 0;
}

int32_t P1(fd_read)(int fd, const __wasi_iovec_t* pieces, size_t count, size_t* read) {
  if (fd > 2 && fileCalls != nullptr) return fileCalls->read(fd, pieces, count, read);
  if (fd != 0) return __WASI_ERRNO_BADF;
  *read = 0;
  for (size_t i = 0; i < count; i++) {
    if (pieces[i].buf_len == 0) continue;
    ww::wasi::ReadResult result{};
    {
      ww::wasi::PlaceNextList place(pieces[i].buf, pieces[i].buf_len);
      ww::wasi::ww_input_stream_blocking_read(input(), pieces[i].buf_len, &result);
    }
    if (result.isErr) {
      if (result.err.tag == 1) return 0;  // the end
      ww::wasi::ww_error_drop(result.err.error);
      return __WASI_ERRNO_IO;
    }
    *read = result.ok.len;
    return 0;
  }
  return 0;
}

int32_t P1(fd_fdstat_get)(int fd, __wasi_fdstat_t* stat) {
  if (fd > 2 && fileCalls != nullptr) return fileCalls->getStat(fd, stat);
  if (fd != 0 && !isOutput(fd)) return __WASI_ERRNO_BADF;
  *stat = __wasi_fdstat_t{};
  stat->fs_filetype = __WASI_FILETYPE_UNKNOWN;
  stat->fs_rights_base = fd == 0 ? __WASI_RIGHTS_FD_READ : __WASI_RIGHTS_FD_WRITE;
  return 0;
}

// Nothing is made of advice here.
int32_t P1(fd_advise)(int fd, uint64_t, uint64_t, int32_t) {
  __wasi_fdstat_t stat;
  return P1(fd_fdstat_get)(fd, &stat);
}

// WASI 0.2 has no such calls.
int32_t P1(fd_allocate)(int, uint64_t, uint64_t) { return __WASI_ERRNO_NOTSUP; }
int32_t P1(fd_fdstat_set_rights)(int, __wasi_rights_t, __wasi_rights_t) {
  return __WASI_ERRNO_NOTSUP;
}

int32_t P1(fd_close)(int fd) {
  if (fd > 2 && fileCalls != nullptr) return fileCalls->close(fd);
  return fd == 0 || isOutput(fd) ? 0 : __WASI_ERRNO_BADF;
}

int32_t P1(fd_seek)(int fd, int64_t by, int32_t from, uint64_t* position) {
  if (fd > 2 && fileCalls != nullptr) return fileCalls->seek(fd, by, from, position);
  return __WASI_ERRNO_SPIPE;
}

[[noreturn]] void P1(proc_exit)(int32_t code) {
  ww::wasi::ww_exit_with_code(code & 0xff);
  __builtin_trap();
}

// The component's wasi:cli/run. The module is linked as a reactor, so that static constructors have
// run by now; lld would wrap every export of a command in a run of all of them.
__attribute__((export_name("wasi:cli/run@0.2.9#run"))) int32_t ww_run() {
  // Delivered as it is written: the host may end this guest at any time.
  setvbuf(stdout, nullptr, _IONBF, 0);
  int code = __main_void();
  fflush(nullptr);
  if (code != 0 && code != 1) ww::wasi::ww_exit_with_code(code & 0xff);
  return code != 0;
}

}  // extern "C"
