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

KJ_TEST("a content id is of the bytes as one raw block, by BLAKE3") {
  KJ_EXPECT(checksum(nullptr) == "99aa06d3014798d86001c324468d497f");  // XXH3's own test vector
  KJ_EXPECT(contentId(nullptr) ==
            "bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlpte2spfoihzsmi");
  KJ_EXPECT(contentId("abc"_kj.asBytes()) ==
            "bafkr4ideg6z2yocgkez77nr3outtvdnvjdcvqrs5phnqh7jvtrwnlpm5qu");
}

}  // namespace
}  // namespace ww::ffi
