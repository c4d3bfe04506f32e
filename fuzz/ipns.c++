// Records of IPNS, as gateways and IPFS nodes hand them over, and the JSON in which the latter wrap
// them. No input is signed, so none is a record: it is read as well as what a name's own holder
// signs.
#include <kj/debug.h>
#include <ww/image/ipns-data.h>
#include <ww/image/ipns-record-test.h>
#include <ww/image/kubo.h>

namespace ww {
namespace {

const SecretKey& ownKey() {
  static const SecretKey KEY = SecretKey::generate();
  return KEY;
}

template <typename Body>
void refusable(Body&& body) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions(kj::fwd<Body>(body))) {
    KJ_ASSERT(e->getDescription().size() < 4000, *e);
    KJ_ASSERT(!e->getDescription().startsWith("expected "), "an assertion was reached", *e);
  }
}

bool isWithin(kj::ArrayPtr<const kj::byte> part, kj::ArrayPtr<const kj::byte> whole) {
  return part.size() == 0 || (part.begin() >= whole.begin() && part.end() <= whole.end());
}

void tryData(kj::ArrayPtr<const kj::byte> input) {
  auto data = readIpnsData(input);
  KJ_ASSERT(isWithin(data.value, input) && isWithin(data.validity, input));
}

// The same map once more, signed: with the fields that older readers see, or without.
void trySigned(kj::ArrayPtr<const kj::byte> input, bool hasOldFields) {
  TestRecord record("/ipfs/bafkqaaa");
  record.hasOldFields = hasOldFields;
  auto name = IpnsName::of(ownKey().getPublicKey());
  auto found = verifyIpnsRecord(name, record.signData(ownKey(), input), kj::UNIX_EPOCH);
  auto data = readIpnsData(input);
  KJ_ASSERT(found.value.asBytes() == data.value && found.sequence == data.sequence);
  KJ_ASSERT(data.validityType == 0 && found.until > 0);
  KJ_ASSERT(!hasOldFields || found.value == "/ipfs/bafkqaaa");
}

void tryUnsigned(kj::ArrayPtr<const kj::byte> input) {
  bool isRecord = false;
  refusable([&]() {
    verifyIpnsRecord(IpnsName::of(ownKey().getPublicKey()), input, kj::UNIX_EPOCH);
    isRecord = true;
  });
  KJ_ASSERT(!isRecord, "what nobody signed is believed");
}

void tryName(kj::StringPtr text) {
  auto name = IpnsName::parse(text);
  KJ_ASSERT(IpnsName::parse(name.toText()).toText() == name.toText());
}

}  // namespace
}  // namespace ww

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto input = kj::arrayPtr(data, size);
  if (size > 16 << 10) return 0;
  ww::tryUnsigned(input);
  ww::refusable([&]() { ww::tryData(input); });
  for (bool old: {false, true}) ww::refusable([&]() { ww::trySigned(input, old); });
  ww::refusable([&]() { ww::parseIpnsTime(kj::heapString(input.asChars())); });
  ww::refusable([&]() { ww::tryName(kj::heapString(input.asChars())); });
  ww::refusable([&]() { ww::readKuboRecord(input); });
  return 0;
}
