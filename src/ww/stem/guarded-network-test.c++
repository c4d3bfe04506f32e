// What comes faster than it may is read later; frames that would cost more than they say are
// refused.
#include <kj/test.h>
#include <kj/vector.h>
#include <ww/stem/guarded-network.h>

namespace ww {
namespace {

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TimerImpl timer{kj::origin<kj::TimePoint>()};
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  kj::Own<kj::AsyncIoStream> stream;
  kj::Vector<kj::byte> got;

  // Why reading what the peer sends fails; empty if it does not.
  kj::String send(kj::ArrayPtr<const kj::byte> bytes) {
    auto writing = pipe.ends[1]->write(bytes.begin(), bytes.size());
    kj::byte buffer[64 * 1024];
    kj::String why;
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
      while (!writing.poll(waitScope)) {
        auto size = stream->tryRead(buffer, 1, sizeof(buffer)).wait(waitScope);
        KJ_ASSERT(size <= 4096);
        got.addAll(buffer, buffer + size);
      }
    })) {
      why = kj::str(e->getDescription());
    }
    return why;
  }
  kj::String send(kj::StringPtr text) { return send(text.asBytes()); }
  void handshake() {
    stream = guardFrames(kj::mv(pipe.ends[0]), timer);
    KJ_ASSERT(send("HTTP/1.1 101 Switching\r\nA: b\r\n\r\n") == "");
  }
};

kj::Array<kj::byte> repeated(kj::ArrayPtr<const kj::byte> frame, size_t times) {
  kj::Vector<kj::byte> all;
  for (size_t i = 0; i < times; i++) all.addAll(frame);
  return all.releaseAsArray();
}

KJ_TEST("a connection is read at a bounded rate, and written at any") {
  Fixture f;
  f.stream = throttle(kj::mv(f.pipe.ends[0]), f.timer);
  auto sent = kj::heapArray<kj::byte>(2 * PROVIDER_BYTES_PER_SECOND);
  memset(sent.begin(), 1, sent.size());
  auto writing = f.pipe.ends[1]->write(sent.begin(), sent.size());
  auto buffer = kj::heapArray<kj::byte>(64 * 1024);
  uint64_t taken = 0;
  kj::Maybe<kj::Promise<size_t>> pending;
  auto readAll = [&]() {
    for (;;) {
      auto read = f.stream->tryRead(buffer.begin(), 1, buffer.size());
      if (!read.poll(f.waitScope)) {
        pending = kj::mv(read);
        return;
      }
      taken += read.wait(f.waitScope);
    }
  };
  readAll();
  constexpr auto PERIOD_BYTES = PROVIDER_BYTES_PER_SECOND / 10;
  KJ_EXPECT(taken >= PERIOD_BYTES && taken <= PERIOD_BYTES + buffer.size(), taken);
  for (int i = 0; i < 10; i++) {
    f.timer.advanceTo(f.timer.now() + 100 * kj::MILLISECONDS);
    taken += KJ_ASSERT_NONNULL(pending).wait(f.waitScope);
    readAll();
  }
  KJ_EXPECT(taken >= 10 * PERIOD_BYTES && taken <= 11 * (PERIOD_BYTES + buffer.size()), taken);
  pending = nullptr;
  auto back = f.stream->write(sent.begin(), 1 << 20);
  auto got = kj::heapArray<kj::byte>(1 << 20);
  f.pipe.ends[1]->read(got.begin(), got.size()).wait(f.waitScope);
  back.wait(f.waitScope);
}

KJ_TEST("honest frames of all lengths pass as they are") {
  Fixture f;
  f.handshake();
  kj::Vector<kj::byte> sent;
  for (size_t size: {0, 1, 125, 126, 127, 65535, 65536, 200'000}) {
    sent.add(0x81);
    if (size < 126) {
      sent.add(size);
    } else if (size < 65536) {
      sent.addAll(std::initializer_list<kj::byte>{126, kj::byte(size >> 8), kj::byte(size)});
    } else {
      sent.addAll(std::initializer_list<kj::byte>{127, 0, 0, 0, 0, 0, kj::byte(size >> 16),
                                                  kj::byte(size >> 8), kj::byte(size)});
    }
    for (size_t i = 0; i < size; i++) sent.add(0x89);  // as pings begin
  }
  auto before = f.got.size();
  KJ_EXPECT(f.send(sent) == "");
  KJ_EXPECT(f.got.asPtr().slice(before, f.got.size()) == sent.asPtr());
  kj::byte piece[] = {0x01, 1, 'a'}, more[] = {0x00, 1, 'a'}, last[] = {0x80, 0};
  for (int round = 0; round < 3; round++) {
    KJ_EXPECT(f.send(piece) == "");
    KJ_EXPECT(f.send(repeated(more, MAX_WS_PIECES - 1)) == "");
    KJ_EXPECT(f.send(last) == "");
  }
}

KJ_TEST("pings, pongs and closes: some at once, one a second") {
  for (auto opcode: {0x88, 0x89, 0x8a}) {
    Fixture f;
    f.handshake();
    kj::byte frame[] = {kj::byte(opcode), 0};
    KJ_EXPECT(f.send(repeated(frame, MAX_WS_CONTROL_BURST)) == "");
    for (int i = 0; i < 100; i++) {
      f.timer.advanceTo(f.timer.now() + 1 * kj::SECONDS);
      KJ_EXPECT(f.send(frame) == "");
    }
    KJ_EXPECT(f.send(frame) == "it sends too many pings, pongs or closes");
  }
}

KJ_TEST("pieces that are empty, or too many; a masked frame; a handshake that does not end") {
  kj::byte first[] = {0x01, 1, 'a'}, empty[] = {0x00, 0}, piece[] = {0x00, 1, 'a'};
  kj::byte masked[] = {0x81, 0x80, 0, 0, 0, 0};
  {
    Fixture f;
    f.handshake();
    KJ_EXPECT(f.send(first) == "");
    KJ_EXPECT(f.send(empty) == "it sends an empty piece of a message");
  }
  {
    Fixture f;
    f.handshake();
    KJ_EXPECT(f.send(repeated(piece, MAX_WS_PIECES + 1)) ==
              "it sends a message in too many pieces");
  }
  {
    Fixture f;
    f.handshake();
    KJ_EXPECT(f.send(masked) == "it sends a masked frame");
  }
  Fixture f;
  f.stream = guardFrames(kj::mv(f.pipe.ends[0]), f.timer);
  KJ_EXPECT(f.send(kj::str("HTTP/1.1 101 ", kj::repeat('a', 9000))) ==
            "it sends a handshake that does not end");
}

KJ_TEST("a message that never ends is read no further than its limit") {
  Fixture f;
  f.handshake();
  kj::byte piece[] = {0x01, 127, 0, 0, 0, 0, 0, 0x10, 0, 0};  // of 1 MiB
  const kj::byte letter[] = {'a'};
  auto content = repeated(letter, 1 << 20);
  KJ_EXPECT(f.send(piece) == "");
  KJ_EXPECT(f.send(content) == "");
  piece[0] = 0;
  KJ_EXPECT(f.send(piece) == "");
  KJ_EXPECT(f.send(content) == "");
  kj::byte last[] = {0x80, 1, 'a'};
  KJ_EXPECT(f.send(last) == "it sends a message that is too long");
}

// How a read of it ends, sent in pieces of so many bytes; and whether any of it is seen.
kj::String answerTo(kj::StringPtr answer, size_t pieceBytes) {
  Fixture f;
  f.stream = guardFrames(kj::mv(f.pipe.ends[0]), f.timer);
  kj::byte buffer[4096];
  kj::Promise<size_t> read = f.stream->tryRead(buffer, 1, sizeof(buffer));
  kj::Vector<kj::byte> seen;
  kj::String why;
  auto step = [&]() {
    while (why == "" && read.poll(f.waitScope)) {
      KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
        auto size = read.wait(f.waitScope);
        seen.addAll(buffer, buffer + size);
        KJ_ASSERT(size > 0, "the end");
        read = f.stream->tryRead(buffer, 1, sizeof(buffer));
      })) {
        why = kj::str(e->getDescription());
      }
    }
  };
  for (size_t i = 0; i < answer.size() && why == ""; i += pieceBytes) {
    auto size = kj::min(pieceBytes, answer.size() - i);
    auto writing = f.pipe.ends[1]->write(answer.begin() + i, size);
    step();
  }
  if (why == "") {
    f.pipe.ends[1]->shutdownWrite();
    step();
  }
  for (size_t i = 1; i < seen.size(); i++) {
    bool isEnd = seen[i] == '\n' && (seen[i - 1] == '\n' || (i > 1 && seen[i - 2] == '\n'));
    KJ_EXPECT(!isEnd, answer, "whole headers were seen of what is refused");
  }
  return why;
}

KJ_TEST("what is no handshake's answer is told, and nobody takes it for one") {
  struct { kj::StringPtr answer, why; } CASES[] = {
    {"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\ngo away"_kj,
     "HTTP 403, and not a WebSocket: `go away`"_kj},
    {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"_kj, "HTTP 503, and not a WebSocket"_kj},
    {"HTTP/1.1 200 OK\n\nhello"_kj, "HTTP 200, and not a WebSocket: `hello`"_kj},
    {"HTTP/1.1 429 Slow down\r\n"_kj, "HTTP 429, and not a WebSocket"_kj},
    {"HTTP/1.0 101 Switching\r\nA: b\r\n\r\n"_kj, "HTTP 101, and not a WebSocket"_kj},
    {"HTTP/1.1 101 Switching\nA: b\n\n"_kj, "HTTP 101, and not a WebSocket"_kj},
    {"HTTP/1.1 101 Switching\r\nA: b\n\r\n"_kj, "HTTP 101, and not a WebSocket"_kj},
    {"HTTP/1.1 101 Switching\r\nA: b\r\n\n"_kj, "HTTP 101, and not a WebSocket"_kj},
    {"HTTP/1.1 101 Switching\r\nA: \rb\r\n\r\n"_kj, "HTTP 101, and not a WebSocket"_kj},
    {"\r\n\r\nHTTP/1.1 101 Switching\r\n\r\n"_kj, "it sends what is no HTTP"_kj},
    {"\nHTTP/1.1 101 Switching\r\n\r\n"_kj, "it sends what is no HTTP"_kj},
    {"<html>hello</html>"_kj, "it sends what is no HTTP"_kj},
  };
  for (auto& c: CASES) {
    auto why = answerTo(c.answer, 4096);
    KJ_EXPECT(why == c.why, c.answer, why);
    // What has not come is not waited for.
    auto slowly = answerTo(c.answer, 1);
    KJ_EXPECT(c.why.startsWith(slowly) && slowly.size() > 0, c.answer, slowly);
  }
}

KJ_TEST("pings behind a handshake are counted, whatever stands in it and however it is cut") {
  for (size_t pieceBytes: {1, 2, 3, 7, 4096}) {
    auto answer = kj::str("HTTP/1.1 101 Switching\r\nA: ", kj::repeat('b', 100), "\r\n\r\n");
    auto pings = kj::str(kj::repeat('\x8a', 2 * MAX_WS_CONTROL_BURST));
    for (size_t i = 1; i < pings.size(); i += 2) pings.begin()[i] = '\x00';
    Fixture f;
    f.stream = guardFrames(kj::mv(f.pipe.ends[0]), f.timer);
    auto all = kj::str(answer, pings, kj::StringPtr("\x8a\x00", 2));
    kj::String why;
    for (size_t i = 0; i < all.size() && why == ""; i += pieceBytes) {
      why = f.send(all.slice(i, kj::min(all.size(), i + pieceBytes)).asBytes());
    }
    KJ_EXPECT(why == "it sends too many pings, pongs or closes", pieceBytes, why);
  }
}

}  // namespace
}  // namespace ww
