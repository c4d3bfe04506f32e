#include <ww/image/cid.h>

#include <kj/debug.h>
#include <ww/base/protobuf.h>
#include <ww/base/text.h>
#include <ww/ffi/content.h>
#include <ww/image/refusal.h>

namespace ww {

static_assert(Cid::MAX_BYTES == ffi::MAX_CID_BYTES);

Cid::Cid(ffi::CidBytes&& cid)
    : bytes(kj::mv(cid.bytes)), codec(cid.codec), identity(cid.identity) {}

Cid Cid::parse(kj::StringPtr text) {
  kj::Maybe<Cid> cid;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { cid = Cid(ffi::parseCid(text)); })) {
    kj::throwFatalException(contentProblem(kj::str(
        "'", shorten(text), "' is no content id: ", e->getDescription())));
  }
  return kj::mv(KJ_ASSERT_NONNULL(cid));
}

Cid Cid::fromBytes(kj::ArrayPtr<const kj::byte> bytes) {
  auto cid = startOf(bytes);
  if (cid.bytes.size() != bytes.size()) {
    kj::throwFatalException(contentProblem(kj::str(
        "no content id: ", bytes.size() - cid.bytes.size(), " bytes follow it")));
  }
  return cid;
}

Cid Cid::startOf(kj::ArrayPtr<const kj::byte> bytes) {
  kj::Maybe<Cid> cid;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { cid = Cid(ffi::readCid(bytes)); })) {
    kj::throwFatalException(contentProblem(kj::str("no content id: ", e->getDescription())));
  }
  return kj::mv(KJ_ASSERT_NONNULL(cid));
}

kj::Maybe<Cid> Cid::find(kj::ArrayPtr<const kj::byte> bytes) {
  return ffi::findCid(bytes).map([](ffi::CidBytes&& cid) { return Cid(kj::mv(cid)); });
}

kj::Maybe<Cid> Cid::findLike(kj::ArrayPtr<const kj::byte> prefix,
                             kj::ArrayPtr<const kj::byte> block) {
  return ffi::findCidLike(prefix, block).map([](ffi::CidBytes&& cid) { return Cid(kj::mv(cid)); });
}

Cid Cid::of(uint64_t codec, kj::ArrayPtr<const kj::byte> block) {
  return Cid(ffi::cidOf(codec, block));
}

Cid Cid::clone() const { return Cid({ kj::heapArray<kj::byte>(bytes), codec, identity }); }

kj::ArrayPtr<const kj::byte> Cid::getMultihash() const {
  constexpr kj::byte VERSION_1 = 1;
  auto rest = getBytes();
  if (rest[0] == VERSION_1) {
    takeVarint(rest);
    takeVarint(rest);
  }
  return rest;
}

kj::String Cid::toText() const { return ffi::cidText(bytes); }

kj::Maybe<kj::ArrayPtr<const kj::byte>> Cid::findIdentity() const {
  KJ_IF_MAYBE(size, identity) return bytes.slice(bytes.size() - *size, bytes.size());
  return nullptr;
}

bool Cid::isOf(kj::ArrayPtr<const kj::byte> block) const { return ffi::isCidOf(bytes, block); }

}  // namespace ww
