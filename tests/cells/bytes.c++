// A guest that handles the connection's bytes itself, well or badly.
//
//   connect-twice | connect-again   a second create-connection, the second after dropping the first
//   input-twice | output-twice      a second get-input-stream, get-output-stream
//   drop N            the Nth order of dropping connection, streams and pollables; exits with 0
//   drop-used N       the same after a call and its answer
//   garbage | huge-frame | many-segments
//                     what no RPC peer sends; then waits for the host to hang up
//   half-close        asks, closes its writing side, waits for the host to hang up
//   nudge-call        parks with its request unsent; says `answered` once that was answered
//   nudge-stdin       the same, parked on stdin too; the request is made when stdin gave a line
//   nudge-timer       the same, when a timer has run out
#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ww/wasi.h>
#include <algorithm>

using namespace ww::wasi;

namespace {

struct Connection {
  Handle connection = ww_create_connection();
  Handle in = ww_connection_get_input_stream(connection);
  Handle out = ww_connection_get_output_stream(connection);
  Handle inReady = ww_input_stream_subscribe(in);
  Handle outReady = ww_output_stream_subscribe(out);
};

bool writeBytes(Handle out, kj::ArrayPtr<const kj::byte> bytes) {
  constexpr size_t AT_ONCE = 4096;  // of blocking-write-and-flush
  while (bytes.size() > 0) {
    auto n = std::min(bytes.size(), AT_ONCE);
    WriteResult result{};
    ww_output_stream_blocking_write_and_flush(out, bytes.begin(), n, &result);
    if (result.isErr) return false;
    bytes = bytes.slice(n, bytes.size());
  }
  return true;
}

enum class Read { NOTHING, SOMETHING, END };

Read readSome(Handle in) {
  ReadResult result{};
  ww_input_stream_read(in, 64 * 1024, &result);
  if (result.isErr) return Read::END;
  auto size = result.ok.len;
  if (size > 0) free(result.ok.ptr);
  return size == 0 ? Read::NOTHING : Read::SOMETHING;
}

kj::Array<capnp::word> bootstrapRequest() {
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(0);
  return capnp::messageToFlatArray(message);
}

void call(Connection& c) {
  writeBytes(c.out, bootstrapRequest().asBytes());
  while (readSome(c.in) == Read::NOTHING) ww_pollable_block(c.inReady);
}

int untilHungUp(Connection& c) {
  for (;;) {
    if (readSome(c.in) == Read::END) {
      puts("hung up");
      return 0;
    }
    ww_pollable_block(c.inReady);
  }
}

int drop(int order, bool used) {
  Connection c;
  if (used) call(c);
  int sequence[] = {0, 1, 2, 3, 4};
  for (int i = 0; i < order; i++) std::next_permutation(sequence, sequence + 5);
  for (int which: sequence) {
    switch (which) {
      case 0: ww_connection_drop(c.connection); break;
      case 1: ww_input_stream_drop(c.in); break;
      case 2: ww_output_stream_drop(c.out); break;
      case 3: ww_pollable_drop(c.inReady); break;
      case 4: ww_pollable_drop(c.outReady); break;
    }
  }
  return 0;
}

int sendBadFrame(kj::ArrayPtr<const uint32_t> header) {
  Connection c;
  writeBytes(c.out, header.asBytes());
  return untilHungUp(c);
}

// Parks like the guests of protocol.md's "nudge": what it has to say stays in its memory until the
// poll returns.
int parkThenSend(Handle wanted, Handle stdin = NO_HANDLE) {
  Connection c;
  if (wanted != NO_HANDLE) {
    // Nothing is queued until this other pollable has turned ready.
    bool ready = false;
    while (!ready) {
      Handle both[] = {c.inReady, wanted};
      List list{};
      ww_poll(both, 2, &list);
      auto indices = static_cast<uint32_t*>(list.ptr);
      for (size_t i = 0; i < list.len; i++) ready |= indices[i] == 1;
      if (ready && stdin != NO_HANDLE && readSome(stdin) != Read::SOMETHING) {
        puts("stdin was nudged");
        return 3;
      }
      free(indices);
      (void)readSome(c.in);
    }
  }
  // The request is queued; an executor polls once for input before it is written.
  ww_pollable_block(c.inReady);
  call(c);
  puts("answered");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  auto is = [&](const char* mode) { return argc > 0 && strcmp(argv[0], mode) == 0; };
  int number = argc > 1 ? atoi(argv[1]) : 0;
  if (is("connect-twice")) return ww_create_connection() + ww_create_connection();
  if (is("connect-again")) {
    ww_connection_drop(ww_create_connection());
    return ww_create_connection();
  }
  if (is("input-twice")) return ww_connection_get_input_stream(Connection().connection);
  if (is("output-twice")) return ww_connection_get_output_stream(Connection().connection);
  if (is("drop")) return drop(number, false);
  if (is("drop-used")) return drop(number, true);
  if (is("garbage")) {
    Connection c;
    constexpr uint32_t FRAME[] = {0, 2, 0xdeadbeef, 0xffffffff, 0x12345678, 0xfffffff7};
    writeBytes(c.out, kj::arrayPtr(FRAME, 6).asBytes());
    return untilHungUp(c);
  }
  if (is("huge-frame")) return sendBadFrame({{0, 0x7fffffff}});
  if (is("many-segments")) return sendBadFrame({{0x00ffffff, 1}});
  if (is("half-close")) {
    Connection c;
    writeBytes(c.out, bootstrapRequest().asBytes());
    ww_pollable_drop(c.outReady);
    ww_output_stream_drop(c.out);
    return untilHungUp(c);
  }
  if (is("nudge-call")) return parkThenSend(NO_HANDLE);
  if (is("nudge-stdin")) {
    Handle stdin = ww_get_stdin();
    return parkThenSend(ww_input_stream_subscribe(stdin), stdin);
  }
  if (is("nudge-timer")) return parkThenSend(ww_subscribe_duration(5'000'000));
  fprintf(stderr, "no such mode\n");
  return 2;
}
