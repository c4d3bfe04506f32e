#pragma once
// Signals are for the threads that have an event loop: others block them all.

#include <signal.h>

namespace ww {

// Of this thread, and of those that it starts. Returns the mask there was.
inline sigset_t blockSignals() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  return before;
}

}  // namespace ww
