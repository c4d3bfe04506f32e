#pragma once
// One line on stderr that changes, for a person at a terminal; gone when it is.

#include <kj/string.h>
#include <stdio.h>
#include <unistd.h>

namespace ww {

class Progress {
 public:
  Progress() = default;
  ~Progress() {
    if (isShown) fprintf(stderr, "\r\033[K");
  }
  KJ_DISALLOW_COPY_AND_MOVE(Progress);

  void show(kj::StringPtr text, uint64_t now) {
    if (!isTerminal || now - last < STEP) return;
    last = now;
    isShown = true;
    fprintf(stderr, "\r\033[K%s", text.cStr());
  }

 private:
  static constexpr uint64_t STEP = 4 << 20;  // of what is counted
  const bool isTerminal = isatty(STDERR_FILENO);
  bool isShown = false;
  uint64_t last = 0;
};

}  // namespace ww
