// What the contract returns, as a compiler lays it out, and what is not that.
#include <kj/encoding.h>
#include <kj/test.h>
#include <ww/stem/stem-abi.h>

namespace ww {
namespace {

kj::String word(uint64_t value) {
  auto digits = kj::str(kj::hex(value));
  return kj::str(kj::repeat('0', 64 - digits.size()), digits);
}

kj::String problem(kj::StringPtr hex) {
  kj::String why;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { decodeHead(kj::decodeHex(hex)); })) {
    why = kj::str(e->getDescription());
  }
  return why;
}

KJ_TEST("heads of all lengths are read") {
  for (size_t size: {0, 1, 31, 32, 33, 64, 1023, 1024}) {
    auto padded = (size + 31) / 32 * 32;
    auto hex = kj::str(word(7), word(64), word(size), kj::repeat('a', 2 * size),
                       kj::repeat('0', 2 * (padded - size)));
    auto head = decodeHead(kj::decodeHex(hex));
    KJ_EXPECT(head.seq == 7 && head.value.size() == size);
    for (auto b: head.value) KJ_ASSERT(b == 0xaa);
    auto value = decodeHeadValue(kj::decodeHex(kj::str(word(32), hex.slice(128))));
    KJ_EXPECT(value.asPtr() == head.value.asPtr());
  }
  KJ_EXPECT(decodeHead(kj::decodeHex(kj::str(word(MAX_SEQ), word(64), word(0)))).seq == MAX_SEQ);
}

KJ_TEST("what is laid out otherwise is refused") {
  kj::String wrong[] = {
      kj::str("00"), kj::str(word(7)), kj::str(word(7), word(64)),
      kj::str(word(7), word(32), word(0)),                            // bytes elsewhere
      kj::str(word(7), word(96), word(0), word(0)),
      kj::str(word(7), word(64), word(0), word(0)),                   // more than it says
      kj::str(word(7), word(64), word(33), word(1)),                  // less
      kj::str(word(7), word(64), word(1), kj::repeat('a', 64)),       // padded with more
      kj::str(word(7), word(64), word(1025), kj::repeat('0', 66 * 33)),
      kj::str(word(7), word(64), kj::repeat('f', 64)),
      kj::str(kj::repeat('f', 64), word(64), word(0)),
      kj::str(word(MAX_SEQ + 1), word(64), word(0)),
      kj::str(word(7), word(64), word(0), "00")};
  for (auto& hex: wrong) KJ_EXPECT(problem(hex) != "", hex);
}

}  // namespace
}  // namespace ww
