#include <ww/ffi/running-hash.h>

#include <kj/encoding.h>
#include <kj/test.h>
#include <ww/ffi/component.h>

namespace ww::ffi {
namespace {

KJ_TEST("the hash of pieces is that of the whole, each time anew") {
  RunningHash running;
  auto take = [&]() {
    auto hash = running.take();
    return kj::encodeHex(kj::arrayPtr(hash.data(), hash.size()));
  };
  for (auto first: {""_kj, "a"_kj, "abc"_kj}) {
    running.add(first.asBytes());
    running.add("abc"_kj.slice(first.size()).asBytes());
    KJ_EXPECT(take() == contentHash("abc"_kj.asBytes()));
  }
  KJ_EXPECT(take() == contentHash(nullptr));
}

}  // namespace
}  // namespace ww::ffi
