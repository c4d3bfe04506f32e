#include <ww/image/name.h>

#include <algorithm>
#include <string.h>
#include <ww/base/text.h>
#include <ww/ffi/content.h>
#include <ww/image/refusal.h>

namespace ww {
namespace {

bool isAscii(kj::StringPtr text) {
  for (auto c: text) {
    if (static_cast<signed char>(c) < 0) return false;
  }
  return true;
}

kj::String shown(kj::StringPtr in) {
  return in == nullptr ? kj::str("/") : kj::str("'", escapeText(in), "'");
}

}  // namespace

kj::Maybe<kj::StringPtr> findNameProblem(kj::ArrayPtr<const char> name) {
  auto is = [&](kj::StringPtr text) { return name == text.asArray(); };
  if (name.size() == 0) return "a name that is empty"_kj;
  if (is(".") || is("..")) return "the name . or .., which leads elsewhere"_kj;
  if (name.size() > MAX_NAME_BYTES) return "a name of more than 255 bytes"_kj;
  if (memchr(name.begin(), '/', name.size()) != nullptr) return "a name with / in it"_kj;
  if (memchr(name.begin(), '\0', name.size()) != nullptr) return "a name with NUL in it"_kj;
  if (!isUtf8(name.asBytes())) return "a name that is not UTF-8"_kj;
  return nullptr;
}

void requireName(kj::StringPtr in, kj::ArrayPtr<const char> name) {
  KJ_IF_MAYBE(why, findNameProblem(name)) {
    auto start = name.slice(0, kj::min(name.size(), size_t(64)));
    kj::throwFatalException(contentProblem(kj::str(
        "the directory ", shown(in), " has ", *why, ": '", escapeText(kj::str(start)), "'")));
  }
}

kj::StringPtr nameIn(kj::StringPtr path) {
  KJ_IF_MAYBE(slash, path.findLast('/')) return path.slice(*slash + 1);
  return path;
}

kj::ArrayPtr<const char> parentOf(kj::StringPtr path) {
  return path.slice(0, path.findLast('/').orDefault(0));
}

kj::String foldName(kj::StringPtr name) {
  if (!isAscii(name)) return ffi::foldCase(name);
  auto folded = kj::heapString(name);
  for (auto& c: folded) {
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  }
  return folded;
}

kj::String joinPath(kj::StringPtr in, kj::StringPtr name) {
  return in == nullptr ? kj::str(name) : kj::str(in, "/", name);
}

void requireDistinct(kj::StringPtr in, kj::ArrayPtr<const kj::StringPtr> names) {
  auto folded = KJ_MAP(name, names) { return FoldedName(name); };
  std::sort(folded.begin(), folded.end());
  requireDistinct(in, folded);
}

void requireDistinct(kj::StringPtr in, kj::ArrayPtr<const FoldedName> sorted) {
  for (size_t i = 1; i < sorted.size(); i++) {
    if (sorted[i].folded != sorted[i - 1].folded) continue;
    auto a = sorted[i - 1].name, b = sorted[i].name;
    kj::throwFatalException(contentProblem(a == b
        ? kj::str("the directory ", shown(in), " has the name '", escapeText(a), "' twice")
        : kj::str("the directory ", shown(in), " has '", escapeText(kj::min(a, b)), "' and '",
                  escapeText(kj::max(a, b)), "', which differ in case alone")));
  }
}

}  // namespace ww
