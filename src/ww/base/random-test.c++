#include <ww/base/random.h>

#include <kj/test.h>

namespace ww {
namespace {

KJ_TEST("a nonce differs from those before, in its upper half and in its lower") {
  uint64_t seen = 0, last = randomNonce();
  for (int i = 0; i < 64; i++) {
    auto next = randomNonce();
    KJ_EXPECT(next != last);
    seen |= next ^ last;
    last = next;
  }
  KJ_EXPECT(seen >> 32 != 0 && (seen & 0xffffffff) != 0);
}

}  // namespace
}  // namespace ww
