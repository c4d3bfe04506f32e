#pragma once
// The largest message that a link takes: Cap'n Proto's own limits, on segments and on what is read
// of a message. A guest learns them from the refusal.

#include <kj/string.h>
#include <stdint.h>

namespace ww {

// What is behind an empty segment is not seen by who counts a message's words, the RPC system's own
// way among them: a frame that has anything there is no message.
constexpr kj::StringPtr EMPTY_SEGMENT = "segments: an empty one is before another"_kj;

struct FrameLimits {
  uint32_t segments = 512;
  // 64 MiB less a word, the frame's own header included.
  uint64_t words = (uint64_t(64) << 20) / 8 - 1;

  // How often all of a message may be read, where that is no more than the largest one once: so
  // this often up to a sixteenth of that, and above it less. A few bytes can say that they are
  // millions: by a list of structs of no words, each of which counts as one that is read, or by
  // pointers that lead to the same place. Who means well has it read some six times: by what admits
  // it, by the RPC system, by the server, and as it is copied to another link. A guest, which
  // believes its host, may read of the shortest as much as of the largest.
  uint64_t readings = 16;

  // How many words may be read of a message of so many.
  uint64_t readable(uint64_t own) const {
    constexpr uint64_t SPARE = 1024;
    return kj::min(words, own > words / readings ? words : own * readings) + SPARE;
  }
};

}  // namespace ww
