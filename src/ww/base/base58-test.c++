#include <ww/base/base58.h>

#include <kj/encoding.h>
#include <kj/test.h>
#include <string.h>

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

KJ_TEST("what was written is read back, and what is no base58 is not") {
  for (auto hex: {"", "00", "0000287fb4cd", "516b6fcd0f", "ffffffffffffffffffffffff",
                  "00eb15231dfceb60925886b67d065299925915aeb172c06647"}) {
    KJ_EXPECT(kj::encodeHex(KJ_ASSERT_NONNULL(decodeBase58(ofHex(hex)))) == hex, hex);
  }
  for (auto text: {"0", "O", "I", "l", "2NEpo7TZ RrLZSi2U", "\n", "\xc3\xa4"}) {
    KJ_EXPECT(decodeBase58(text) == nullptr, text);
  }
  auto endless = kj::heapString(100000);
  memset(endless.begin(), 'z', endless.size());
  KJ_EXPECT(decodeBase58(endless) == nullptr);
}

}  // namespace
}  // namespace ww
