#include <ww/ffi/running-hash.h>

#include <ww/ffi/fence.h>
#include <ww_engine.h>

namespace ww::ffi {

RunningHash::RunningHash(): raw(ww_hasher_new()) {}

RunningHash::~RunningHash() noexcept(false) { ww_hasher_drop(raw); }

void RunningHash::add(kj::ArrayPtr<const kj::byte> bytes) { ww_hasher_add(raw, slice(bytes)); }

std::array<kj::byte, 32> RunningHash::take() {
  std::array<kj::byte, 32> hash;
  ww_hasher_take(raw, hash.data());
  return hash;
}

}  // namespace ww::ffi
