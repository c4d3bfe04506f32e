#include <ww/ffi/running-hash.h>

#include <kj/encoding.h>
#include <kj/test.h>

namespace ww::ffi {
namespace {

constexpr auto OF_NOTHING = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"_kj;
constexpr auto OF_ABC = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"_kj;

KJ_TEST("the hash of pieces is that of the whole, each time anew") {
  RunningHash running;
  auto take = [&]() {
    auto hash = running.take();
    return kj::encodeHex(kj::arrayPtr(hash.data(), hash.size()));
  };
  for (auto first: {""_kj, "a"_kj, "abc"_kj}) {
    running.add(first.asBytes());
    running.add("abc"_kj.slice(first.size()).asBytes());
    KJ_EXPECT(take() == OF_ABC);
  }
  KJ_EXPECT(take() == OF_NOTHING);
}

}  // namespace
}  // namespace ww::ffi
