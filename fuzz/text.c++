// What people and peers write: sizes, durations, places, addresses, names. It is understood or
// refused, and what is shown of it does nothing to a terminal.
#include <kj/debug.h>
#include <kj/string.h>
#include <ww/base/base58.h>
#include <ww/base/quantity.h>
#include <ww/base/text.h>
#include <ww/net/multiaddr.h>
#include <ww/node/ip-port.h>

namespace ww {
namespace {

void requireHarmless(kj::StringPtr shown) {
  KJ_ASSERT(isUtf8(shown.asBytes()));
  for (char c: shown) KJ_ASSERT(kj::byte(c) >= ' ' && c != 0x7f);
}

void tryText(kj::StringPtr text) {
  KJ_IF_MAYBE(duration, parseDuration(text)) {
    KJ_ASSERT(*duration > 0 * kj::NANOSECONDS && *duration <= 366 * kj::DAYS);
  }
  KJ_IF_MAYBE(size, parseSize(text)) {
    bool isZero = true;
    for (char c: text) isZero &= c < '1' || c > '9';
    KJ_ASSERT((*size == 0) == isZero, text);
  }
  requireHarmless(escapeText(text));
  KJ_ASSERT(shorten(text).size() <= 300);
  kj::runCatchingExceptions([&]() {
    auto place = parseIpPort("--option", text, 1);
    auto again = parseIpPort("--option", place.toText(), 2);
    KJ_ASSERT(again.toText() == place.toText());
  });
  KJ_IF_MAYBE(peer, PeerId::parseText(text)) {
    KJ_ASSERT(KJ_ASSERT_NONNULL(PeerId::parseText(peer->toText())) == *peer);
  }
}

void tryBytes(kj::ArrayPtr<const kj::byte> bytes) {
  auto parsed = Multiaddr::parse(bytes);
  KJ_IF_MAYBE(addr, parsed.tryGet<Multiaddr>()) {
    requireHarmless(addr->toText());
    addr->findPrivateRange();
    addr->findPeer();
    addr->findObstacle(Multiaddr::Use::DIAL);
    addr->findObstacle(Multiaddr::Use::LISTEN);
  }
}

}  // namespace
}  // namespace ww

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto bytes = kj::arrayPtr(data, size);
  ww::tryBytes(bytes);
  ww::tryText(kj::heapString(bytes.asChars()));
  return 0;
}
