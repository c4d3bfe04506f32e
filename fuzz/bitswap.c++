// Messages of bitswap, as any peer sends them, one after the other on a stream: each is read or
// refused, within its bounds, and what was read is the same when it is written and read again.
#include <kj/async-io.h>
#include <kj/debug.h>
#include <ww/base/protobuf.h>
#include <ww/image/bitswap-message.h>

namespace ww {
namespace {

constexpr size_t MOST_BYTES = 64 << 10;

void tryMessage(kj::ArrayPtr<const kj::byte> bytes) {
  auto message = BitswapMessage::decode(bytes);
  KJ_ASSERT(message.wants.size() + message.presences.size() + message.blocks.size() <=
            MAX_BITSWAP_ENTRIES);
  for (auto& block: message.blocks) {
    KJ_IF_MAYBE(cid, Cid::findLike(block.prefix, block.bytes)) {
      KJ_ASSERT(cid->isOf(block.bytes) && BitswapMessage::prefixOf(*cid) == block.prefix);
    }
  }
  auto written = message.encode();
  kj::ArrayPtr<const kj::byte> rest = written;
  KJ_ASSERT(takeVarint(rest) == rest.size());
  auto again = BitswapMessage::decode(rest);
  KJ_ASSERT(again.wants.size() == message.wants.size() &&
            again.presences.size() == message.presences.size() &&
            again.blocks.size() == message.blocks.size());
  KJ_ASSERT(again.encode() == written);
}

// The longest message of MOST_BYTES, in the pieces in which a stream has them.
void tryStream(kj::ArrayPtr<const kj::byte> input) {
  kj::EventLoop loop;
  kj::WaitScope waitScope(loop);
  auto pipe = kj::newOneWayPipe();
  auto writing = pipe.out->write(input.begin(), input.size())
      .then([out = kj::mv(pipe.out)]() mutable { out = nullptr; }).eagerlyEvaluate(nullptr);
  size_t heard = 0;
  for (;;) {
    auto read = readBitswap(*pipe.in, []() { return MOST_BYTES; }, [&](size_t bytes) {
      heard += bytes;
    }).wait(waitScope);
    KJ_ASSERT(heard <= input.size());
    KJ_IF_MAYBE(bytes, read) {
      KJ_ASSERT(bytes->size() <= MOST_BYTES);
      tryMessage(*bytes);
    } else {
      return;
    }
  }
}

template <typename Body>
void refusable(Body&& body) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions(kj::fwd<Body>(body))) {
    KJ_ASSERT(!e->getDescription().startsWith("expected "), "an assertion was reached", *e);
  }
}

}  // namespace
}  // namespace ww

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto input = kj::arrayPtr(data, size);
  ww::refusable([&]() { ww::tryMessage(input); });
  ww::refusable([&]() { ww::tryStream(input); });
  return 0;
}
