#pragma once
// A person's lines, edited on the terminal with libedit, and what comes from elsewhere meanwhile:
// it is shown above the line that is being edited, and what it ends with, short of a newline, is
// that line's prompt.
//
// libedit waits for each key where it stands. So it has a thread of its own, as a coroutine would
// have a stack: that thread runs only while the loop's thread waits for it, from a key to the wish
// for the next, and nothing of libedit's is ever used by both.
//
// One event loop. Ctrl-C and ctrl-Z stay signals; ctrl-D on an empty line is the end of the input.

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <ww/base/log.h>
#include <ww/cli/line-history.h>
#include <ww/node/stdio.h>

namespace ww {

class LineEditor final {
 public:
  // Before the event loop is made: signals that tell of the terminal.
  static void captureSignals();

  // Can lines be edited here? If stdin and stdout are one terminal that can move its cursor, and
  // this process is in its foreground.
  static bool isPossible();

  // From now on the terminal is this editor's, until it goes. `logger` outlives it.
  LineEditor(kj::AsyncIoContext& io, kj::Maybe<LineHistory> history, Logger& logger);
  ~LineEditor() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(LineEditor);

  // Input: lines, each with its newline. Output and errors: shown as above; errors that go
  // elsewhere than to this terminal go there. Once; the editor outlives them.
  StandardStreams makeStreams(kj::LowLevelAsyncIoProvider& io);

 private:
  class Input;
  class Output;
  class Screen;
  class Impl;
  kj::Own<Impl> impl;
};

}  // namespace ww
