#include <ww/link/frame-guard.h>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/async-io.h>
#include <kj/test.h>

namespace ww {
namespace {

struct Fixture {
  kj::EventLoop loop;
  kj::WaitScope waitScope{loop};
  kj::TwoWayPipe pipe = kj::newTwoWayPipe();
  FrameGuard guard;

  explicit Fixture(FrameLimits limits): guard(kj::mv(pipe.ends[0]), limits) {}

  // What the reader got: the bytes sent, or the reason of the refusal. Sent in pieces of `step`.
  kj::String send(kj::ArrayPtr<const kj::byte> bytes, size_t step) {
    auto writing = [](kj::AsyncIoStream& to, kj::ArrayPtr<const kj::byte> bytes,
                      size_t step) -> kj::Promise<void> {
      for (size_t i = 0; i < bytes.size(); i += step) {
        auto piece = bytes.slice(i, kj::min(i + step, bytes.size()));
        co_await to.write(piece.begin(), piece.size());
      }
      to.shutdownWrite();
    }(*pipe.ends[1], bytes, step).eagerlyEvaluate([](kj::Exception&&) {});
    return guard.readAllBytes().then([](auto got) { return kj::str(got.size()); },
        [](kj::Exception&& exception) {
      KJ_EXPECT(exception.getType() == kj::Exception::Type::OVERLOADED);
      return kj::str(exception.getDescription());
    }).wait(waitScope);
  }
};

// A frame's header alone: the counts as given.
kj::Array<kj::byte> header(kj::ArrayPtr<const uint32_t> values) {
  auto bytes = kj::heapArray<kj::byte>(values.size() * 4);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = values[i / 4] >> (8 * (i % 4));
  return bytes;
}

kj::Array<kj::byte> messages(kj::uint count, kj::uint textBytes, kj::uint firstSegmentWords) {
  kj::VectorOutputStream out;
  for (kj::uint i = 0; i < count; i++) {
    capnp::MallocMessageBuilder message(firstSegmentWords,
                                        capnp::AllocationStrategy::FIXED_SIZE);
    message.initRoot<capnp::AnyPointer>().initAs<capnp::Data>(textBytes);
    capnp::writeMessage(out, message);
  }
  return kj::heapArray(out.getArray());
}

KJ_TEST("whole messages pass, however they are cut") {
  for (kj::uint firstSegmentWords: {1u, 4u, 1024u}) {
    for (size_t step: {1, 3, 8, 4096}) {
      Fixture f({});
      auto bytes = messages(5, 100, firstSegmentWords);
      KJ_EXPECT(f.send(bytes, step) == kj::str(bytes.size()));
    }
  }
}

KJ_TEST("a frame at the limit passes, one word more does not") {
  FrameLimits limits;
  limits.words = 16;
  for (uint32_t words: {15u, 16u}) {
    Fixture f(limits);
    kj::Vector<kj::byte> bytes;
    uint32_t values[] = {0, words};
    bytes.addAll(header(values));
    for (uint32_t i = 0; i < words * 8; i++) bytes.add(0xff);
    auto result = f.send(bytes, 5);
    if (words == 15) {
      KJ_EXPECT(result == kj::str(bytes.size()));
    } else {
      KJ_EXPECT(result == "overloaded: message: a frame of at least 136 bytes; "
                          "the link's limit is 128", result);
    }
  }
}

KJ_TEST("a claim of many segments is refused before they come") {
  uint32_t manySegments[] = {0xffffffff};
  Fixture f({});
  auto reason = f.send(header(manySegments), 1);
  KJ_EXPECT(reason.startsWith("overloaded: segments: a message of 4294967296 segments"), reason);
}

KJ_TEST("what is behind an empty segment is refused before it comes; a last one may be empty") {
  uint32_t hiding[] = {2, 1, 0, 100};
  uint32_t last[] = {1, 1, 0, 0, 0, 0};
  auto send = [](kj::ArrayPtr<const uint32_t> words) {
    Fixture f({});
    return f.send(header(words), 1);
  };
  auto reason = send(hiding);
  KJ_EXPECT(reason == "overloaded: segments: an empty one is before another", reason);
  KJ_EXPECT(send(last) == "24");
}

KJ_TEST("a claim of a huge body is refused before it comes") {
  uint32_t hugeBody[] = {2, 0xffffffff, 0xffffffff, 0xffffffff};
  Fixture f({});
  auto reason = f.send(header(hugeBody), 16);
  KJ_EXPECT(reason.startsWith("overloaded: message:"), reason);
}

KJ_TEST("the limit holds for the second message as for the first") {
  FrameLimits limits;
  limits.words = 8;
  Fixture f(limits);
  kj::Vector<kj::byte> bytes;
  bytes.addAll(messages(1, 8, 16));
  uint32_t tooLarge[] = {0, 8};
  bytes.addAll(header(tooLarge));
  KJ_EXPECT(f.send(bytes, 1).startsWith("overloaded: message:"));
}

}  // namespace
}  // namespace ww
