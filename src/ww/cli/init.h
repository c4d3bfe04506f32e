#pragma once
// `ww init`: lays down the project of a guest.

#include <ww/base/log.h>

namespace ww {

struct InitOptions {
  kj::String dir;
  bool rust = false;
  bool json = false;
};

// The name of a project in this folder: its last part, where that is one; letters, digits, `-` and
// `_`, a letter first.
kj::String projectNameOf(kj::StringPtr path);

// Throws where CMake builds nothing.
void requireNameForCMake(kj::StringPtr path);

// Prints where. Throws, naming what is in the way, and leaves what is there as it is.
void initProject(const InitOptions& options, Logger& logger);

}  // namespace ww
