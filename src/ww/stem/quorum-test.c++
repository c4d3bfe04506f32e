// Heights that are worth asking about.
#include <kj/test.h>
#include <ww/stem/quorum.h>

namespace ww {
namespace {

kj::String heights(std::initializer_list<uint64_t> finals, kj::uint quorum) {
  return kj::str(heightsOf(kj::arrayPtr(finals.begin(), finals.size()), quorum));
}

KJ_TEST("what a quorum has reached, and then what more have, each once") {
  KJ_EXPECT(heights({}, 2) == "");
  KJ_EXPECT(heights({7}, 2) == "");
  KJ_EXPECT(heights({7}, 1) == "7");
  KJ_EXPECT(heights({7, 9}, 1) == "9", "where one is a quorum it is the highest alone");
  KJ_EXPECT(heights({7, 9}, 2) == "7");
  KJ_EXPECT(heights({100, 60, 1000}, 2) == "100, 60");
  KJ_EXPECT(heights({100, 100, 20}, 2) == "100, 20");
  KJ_EXPECT(heights({5, 4, 3, 2, 1}, 3) == "3, 2, 1");
  KJ_EXPECT(heights({5, 5, 5, 5, 1}, 3) == "5, 1");
  KJ_EXPECT(heights({9, 8, 7, 6, 5}, 2) == "8, 7", "three have two honest ones among them");
  KJ_EXPECT(heights({9, 8}, 0) == "");
}

}  // namespace
}  // namespace ww
