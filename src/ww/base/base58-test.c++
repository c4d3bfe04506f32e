#include <ww/base/base58.h>

#include <kj/encoding.h>
#include <kj/test.h>

namespace ww {
namespace {

kj::String ofHex(kj::StringPtr hex) { return encodeBase58(kj::decodeHex(hex)); }

KJ_TEST("base58 as Bitcoin writes it") {
  KJ_EXPECT(encodeBase58(kj::StringPtr("Hello World!").asBytes()) == "2NEpo7TZRRrLZSi2U");
  KJ_EXPECT(ofHex("0000287fb4cd") == "11233QC4");
  KJ_EXPECT(ofHex("516b6fcd0f") == "ABnLTmg");
  KJ_EXPECT(ofHex("00eb15231dfceb60925886b67d065299925915aeb172c06647") ==
            "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L");
}

KJ_TEST("each leading zero is a 1, and nothing is nothing") {
  KJ_EXPECT(encodeBase58(nullptr) == "");
  KJ_EXPECT(ofHex("00") == "1");
  KJ_EXPECT(ofHex("00000000000000000000") == "1111111111");
}

}  // namespace
}  // namespace ww
