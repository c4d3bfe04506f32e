#pragma once
// Sizes and durations as people write them for docker: 512m, 1.5s, 1h30m.

#include <kj/string.h>
#include <kj/time.h>
#include <stdint.h>

namespace ww {

// A whole number and b, k, m or g, also kb, mb and gb, in powers of 1024, either case; without a
// letter, bytes. Nothing for anything else, or above what 64 bits hold.
kj::Maybe<uint64_t> parseSize(kj::StringPtr text);

// For a person: in the largest of B, KiB, MiB and GiB of which there is one, to a tenth.
kj::String showSize(uint64_t bytes);

// Numbers, each with ns, us, ms, s, m or h, one after the other; a fraction may follow a point.
// Nothing for anything else, for 0 alone, or above a year.
kj::Maybe<kj::Duration> parseDuration(kj::StringPtr text);

}  // namespace ww
