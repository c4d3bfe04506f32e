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
  KJ_EXPECT(f.send(kj::str(kj::repeat('a', 9000))) == "it sends a handshake that does not end");
}

}  // namespace
}  // namespace ww
