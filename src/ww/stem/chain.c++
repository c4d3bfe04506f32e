#include <ww/stem/chain.h>

namespace ww {

kj::Maybe<Finality> parseFinality(kj::StringPtr text) {
  constexpr auto DEPTH = "depth:"_kj;
  if (text == "finalized") return Finality{Finality::FINALIZED, 0};
  if (text == "safe") return Finality{Finality::SAFE, 0};
  if (text.startsWith(DEPTH)) {
    for (auto c: text.slice(DEPTH.size())) {
      if (c < '0' || c > '9') return nullptr;
    }
    return text.slice(DEPTH.size()).tryParseAs<uint64_t>().map([](uint64_t depth) {
      return Finality{Finality::DEPTH, depth};
    });
  }
  return nullptr;
}

kj::String toText(const Finality& finality) {
  switch (finality.kind) {
    case Finality::FINALIZED: return kj::str("finalized");
    case Finality::SAFE: return kj::str("safe");
    case Finality::DEPTH: return kj::str("depth:", finality.depth);
  }
  KJ_UNREACHABLE;
}

}  // namespace ww
