#pragma once
// Who wants to know how a link's messages come in.

#include <stdint.h>

namespace ww {

// Of all that was read so far.
struct ReadProgress {
  uint64_t bytes = 0;
  uint64_t messages = 0;    // that are here in full
  uint64_t unfinished = 0;  // bytes of the one that there is more to come of; 0: there is none
};

class ReadObserver {
 public:
  // All that was there was read.
  virtual void onRead(const ReadProgress& progress) = 0;
};

}  // namespace ww
