// Addresses as people write them: the checksum is EIP-55's.
#include <kj/test.h>
#include <ww/node/eth-address.h>
#include <ww/stem/hex.h>

namespace ww {
namespace {

KJ_TEST("the examples of EIP-55 are as they are written there") {
  for (auto text: {"0x52908400098527886E0F7030069857D2E4169EE7"_kj,
                   "0xde709f2102306220921060314715629080e2fb77"_kj,
                   "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"_kj,
                   "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"_kj,
                   "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB"_kj,
                   "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"_kj}) {
    auto read = readEthAddress(text);
    KJ_ASSERT(read.is<EthAddress>(), text);
    KJ_EXPECT(toChecksummed(read.get<EthAddress>()) == text);
  }
}

KJ_TEST("one case alone holds no checksum") {
  for (auto text: {"0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"_kj,
                   "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED"_kj,
                   "0x0000000000000000000000000000000000000000"_kj}) {
    KJ_EXPECT(readEthAddress(text).is<EthAddress>(), text);
  }
}

KJ_TEST("one letter in the other case is refused, and the right form is shown") {
  auto right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"_kj;
  for (size_t i = 2; i < right.size(); i++) {
    auto text = kj::str(right);
    auto& c = text.begin()[i];
    if (c >= '0' && c <= '9') continue;
    c ^= 0x20;
    auto read = readEthAddress(text);
    KJ_ASSERT(read.is<kj::String>(), text);
    auto& why = read.get<kj::String>();
    KJ_EXPECT(why.startsWith(text) && why.endsWith(right), why);
  }
  // Another digit, which changes the whole hash.
  auto read = readEthAddress("0x6aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed");
  KJ_EXPECT(read.is<kj::String>());
}

KJ_TEST("what is no address is refused as that") {
  for (auto text: {""_kj, "0x"_kj, "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"_kj,
                   "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae"_kj,
                   "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaedd"_kj,
                   "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg"_kj}) {
    auto read = readEthAddress(text);
    KJ_ASSERT(read.is<kj::String>(), text);
    KJ_EXPECT(read.get<kj::String>().endsWith("0x and 40 hex digits"));
  }
}

}  // namespace
}  // namespace ww
