#pragma once
// BLAKE3 of bytes that come piece by piece.

#include <array>
#include <kj/array.h>

struct WwHasher;

namespace ww::ffi {

class RunningHash final {
 public:
  RunningHash();
  ~RunningHash() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(RunningHash);

  void add(kj::ArrayPtr<const kj::byte> bytes);

  // Of what was added since it was made, or since the last take().
  std::array<kj::byte, 32> take();

 private:
  WwHasher* raw;
};

}  // namespace ww::ffi
