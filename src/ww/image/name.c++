#include <ww/image/name.h>

#include <algorithm>
#include <string.h>
#include <ww/base/text.h>
#include <ww/ffi/content.h>
#include <ww/image/refusal.h>

namespace ww {
namespace {

kj::Maybe<kj::StringPtr> whyNot(kj::ArrayPtr<const char> name) {
  auto is = [&](kj::StringPtr text) { return name == text.asArray(); };
  if (name.size() == 0) return "a name that is empty"_kj;
  if (is(".") || is("..")) return "the name . or .., which leads elsewhere"_kj;
  if (name.size() > MAX_NAME_BYTES) return "a name of more than 255 bytes"_kj;
  if (memchr(name.begin(), '/', name.size()) != nullptr) return "a name with / in it"_kj;
  if (memchr(name.begin(), '\0', name.size()) != nullptr) return "a name with NUL in it"_kj;
  if (!isUtf8(name.asBytes())) return "a name that is not UTF-8"_kj;
  return nullptr;
}

bool isAscii(kj::StringPtr text) {
  for (auto c: text) {
    if (static_cast<signed char>(c) < 0) return false;
  }
  return true;
}

kj::String foldName(kj::StringPtr name) {
  if (!isAscii(name)) return ffi::foldCase(name);
  auto folded = kj::heapString(name);
  for (auto& c: folded) {
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  }
  return folded;
}

kj::String shown(kj::StringPtr in) { return in == nullptr ? kj::str("/") : kj::str("'", in, "'"); }

}  // namespace

void requireName(kj::StringPtr in, kj::ArrayPtr<const char> name) {
  KJ_IF_MAYBE(why, whyNot(name)) {
    auto start = name.slice(0, kj::min(name.size(), size_t(64)));
    kj::throwFatalException(contentProblem(kj::str(
        "the directory ", shown(in), " has ", *why, ": '", escapeText(kj::str(start)), "'")));
  }
}

kj::String joinPath(kj::StringPtr in, kj::StringPtr name) {
  return in == nullptr ? kj::str(name) : kj::str(in, "/", name);
}

void requireDistinct(kj::StringPtr in, kj::ArrayPtr<const kj::StringPtr> names) {
  struct Folded {
    kj::String text;
    size_t index;
  };
  auto folded = kj::heapArrayBuilder<Folded>(names.size());
  for (auto i: kj::indices(names)) folded.add(Folded { foldName(names[i]), i });
  std::sort(folded.begin(), folded.end(), [](auto& a, auto& b) { return a.text < b.text; });
  for (size_t i = 1; i < folded.size(); i++) {
    if (folded[i].text != folded[i - 1].text) continue;
    auto a = names[folded[i - 1].index], b = names[folded[i].index];
    kj::throwFatalException(contentProblem(a == b
        ? kj::str("the directory ", shown(in), " has the name '", escapeText(a), "' twice")
        : kj::str("the directory ", shown(in), " has '", escapeText(kj::min(a, b)), "' and '",
                  escapeText(kj::max(a, b)), "', which differ in case alone")));
  }
}

}  // namespace ww
