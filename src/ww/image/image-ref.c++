#include <ww/image/image-ref.h>

#include <ww/base/error.h>
#include <ww/base/text.h>

namespace ww {
namespace {

constexpr kj::StringPtr IPFS = "/ipfs/"_kj, IPNS = "/ipns/"_kj;
constexpr size_t MAX_REF_BYTES = 4096 + 256;

[[noreturn]] void refuse(kj::StringPtr text, kj::StringPtr why) {
  kj::throwFatalException(badInput(kj::str("`", escapeText(shorten(text)), "`: ", why)));
}

// The first name, and the others with `/` between.
struct Names {
  kj::String first, rest;
};

Names split(kj::StringPtr whole, kj::StringPtr text) {
  if (whole.size() > MAX_REF_BYTES) refuse(whole, "this path is too long");
  if (!isUtf8(whole.asBytes())) refuse(whole, "this path is not valid UTF-8");
  Names names;
  kj::Vector<kj::String> rest;
  for (size_t begin = 0, i = 0; i <= text.size(); i++) {
    if (i < text.size() && text[i] != '/') continue;
    auto name = kj::str(text.slice(begin, i));
    begin = i + 1;
    bool isLast = i == text.size();
    if (names.first == nullptr) {
      if (name.size() == 0) refuse(whole, "a content id, or a name, is to follow");
      names.first = kj::mv(name);
    } else if (name == "." || name == ".." || name.findFirst('\0') != nullptr) {
      refuse(whole, "a path of content has no names such as . and ..");
    } else if (name.size() > 0) {
      rest.add(kj::mv(name));
    } else if (!isLast) {
      refuse(whole, "this path has an empty name");
    }
  }
  names.rest = kj::strArray(rest, "/");
  return names;
}

bool endsInCar(kj::StringPtr text) {
  if (text.size() < 4) return false;
  auto end = text.slice(text.size() - 4);
  return end[0] == '.' && (end[1] | 0x20) == 'c' && (end[2] | 0x20) == 'a' &&
         (end[3] | 0x20) == 'r';
}

kj::String join(kj::StringPtr path, kj::StringPtr more) {
  return kj::str(path, path.size() > 0 && more.size() > 0 ? "/" : "", more);
}

}  // namespace

ImageRef parseImageRef(kj::StringPtr text) {
  if (text.startsWith(IPFS)) {
    auto names = split(text, text.slice(IPFS.size()));
    return IpfsRef{Cid::parse(names.first), kj::mv(names.rest)};
  }
  if (text.startsWith(IPNS)) {
    auto names = split(text, text.slice(IPNS.size()));
    return IpnsRef{IpnsName::parse(names.first), kj::mv(names.rest)};
  }
  for (kj::StringPtr scheme: {"ipfs://"_kj, "ipns://"_kj}) {
    if (!text.startsWith(scheme)) continue;
    refuse(text, kj::str("write it as /", scheme.slice(0, 4), "/", text.slice(scheme.size())));
  }
  if (endsInCar(text)) return CarRef{kj::str(text)};
  kj::Maybe<Cid> cid;
  kj::runCatchingExceptions([&]() { cid = Cid::parse(text); });
  KJ_IF_MAYBE(root, cid) return IpfsRef{kj::mv(*root), kj::String()};
  return PathRef{kj::str(text)};
}

ImageRef parseIpnsValue(kj::StringPtr value, kj::StringPtr path) {
  if (!value.startsWith(IPFS) && !value.startsWith(IPNS)) {
    refuse(value, "a name of IPNS leads here, and it is neither /ipfs/CID nor /ipns/NAME");
  }
  auto ref = parseImageRef(value);
  KJ_IF_MAYBE(ipfs, ref.tryGet<IpfsRef>()) ipfs->path = join(ipfs->path, path);
  KJ_IF_MAYBE(ipns, ref.tryGet<IpnsRef>()) ipns->path = join(ipns->path, path);
  return ref;
}

kj::Promise<IpfsRef> resolveRef(IpnsRef ref, kj::ArrayPtr<IpnsSource* const> sources,
                                IpnsMemory& memory, const kj::Clock& clock, Logger& logger) {
  for (kj::uint names = 0; names < MAX_IPNS_NAMES; names++) {
    auto record = co_await resolveIpns(ref.name, sources, memory, clock, logger);
    auto next = parseIpnsValue(record.value, ref.path);
    KJ_IF_MAYBE(ipfs, next.tryGet<IpfsRef>()) co_return kj::mv(*ipfs);
    ref = kj::mv(next.get<IpnsRef>());
  }
  kj::throwFatalException(badInput(kj::str("/ipns/", ref.name.toText(), ": more than ",
      MAX_IPNS_NAMES, " names of IPNS lead from one to the next")));
}

}  // namespace ww
