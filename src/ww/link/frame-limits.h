#pragma once
// The largest message that a link takes: Cap'n Proto's own limits, on segments and on what is read
// of a message. A guest learns them from the refusal.

#include <stdint.h>

namespace ww {

struct FrameLimits {
  uint32_t segments = 512;
  // 64 MiB less a word, the frame's own header included.
  uint64_t words = (uint64_t(64) << 20) / 8 - 1;
};

}  // namespace ww
