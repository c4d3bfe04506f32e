#include <ww/ffi/fence.h>

#include <kj/test.h>
#include <ww/ffi/component.h>

namespace ww::ffi {
namespace {

KJ_TEST("a panic behind the fence is an exception on this side, and both go on") {
  for (int i = 0; i < 3; i++) {
    WwError error{};
    KJ_EXPECT(!ww_fence_panic(&error));
    KJ_EXPECT(error.kind == WW_PANIC);
    auto exception = takeError(error);
    KJ_EXPECT(exception.getType() == kj::Exception::Type::FAILED);
    KJ_EXPECT(exception.getDescription().size() > 0);
    KJ_EXPECT(!isComponentProblem(exception));
  }
}

KJ_TEST("the content's hash is BLAKE3") {
  KJ_EXPECT(checksum(nullptr) == "99aa06d3014798d86001c324468d497f");  // XXH3's own test vector
  KJ_EXPECT(contentHash(nullptr) ==
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  KJ_EXPECT(contentHash(kj::StringPtr("abc").asBytes()) ==
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
}

}  // namespace
}  // namespace ww::ffi
