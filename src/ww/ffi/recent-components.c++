#include <ww/ffi/recent-components.h>

#include <algorithm>
#include <kj/debug.h>

namespace ww::ffi {
namespace {

bool hasSameEnds(kj::ArrayPtr<const kj::byte> a, kj::ArrayPtr<const kj::byte> b) {
  constexpr size_t END = 1024;
  if (a.size() != b.size()) return false;
  auto size = kj::min(a.size(), END);
  return a.slice(0, size) == b.slice(0, size) &&
      a.slice(a.size() - size, a.size()) == b.slice(b.size() - size, b.size());
}

}  // namespace

kj::Maybe<kj::Own<const Component>> RecentComponents::find(kj::ArrayPtr<const kj::byte> wasm) {
  kj::uint compared = 0;
  for (size_t i = all.size(); i > 0 && compared < MOST_COMPARED; i--) {
    auto found = all.begin() + (i - 1);
    if (!hasSameEnds(found->wasm, wasm)) continue;
    ++compared;
    if (found->wasm != wasm) continue;
    std::rotate(found, found + 1, all.end());
    return all.back().component->addRef();
  }
  return nullptr;
}

void RecentComponents::keep(kj::Array<const kj::byte> wasm, kj::Own<const Component> component) {
  if (wasm.size() > MOST_BYTES_OF_ONE) return;
  while (all.size() == MOST || bytes + wasm.size() > MOST_BYTES) dropFirst();
  bytes += wasm.size();
  all.add(Recent{kj::mv(wasm), kj::mv(component)});
}

void RecentComponents::dropFirst() {
  bytes -= all.front().wasm.size();
  std::rotate(all.begin(), all.begin() + 1, all.end());
  all.removeLast();
}

}  // namespace ww::ffi
