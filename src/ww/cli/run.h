#pragma once
// `ww run`: boots an image, wires its standard streams to this process's, and gives its exit code.

#include <ww/base/log.h>
#include <ww/cli/options.h>

namespace ww {

// Exit codes of `ww` that no image chose.
constexpr int EXIT_NODE_FAILED = 125;
constexpr int EXIT_NO_IMAGE = 127;
constexpr int EXIT_SIGNAL_BASE = 128;

// Runs to the end of pid0, or of the signal that ends it. Failures are said on stderr.
int run(RunOptions options);

// Says why, and gives the code.
int complain(Logger& logger, int code, kj::StringPtr event, kj::StringPtr cause);

// The same where isNoImage() holds.
int complainOfImage(Logger& logger, const kj::Exception& exception);

}  // namespace ww
