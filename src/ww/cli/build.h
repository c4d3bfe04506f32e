#pragma once
// `ww build`: makes the component and the image of a project that `ww init` laid down.
//
// The project's own build (CMake's, or cargo's) makes the components; the image is put together
// from them and from the folders etc and lib, and takes the last one's place when it is whole.

#include <kj/string.h>

namespace ww {

struct BuildOptions {
  kj::String dir;
  kj::Maybe<kj::String> sdk;
  bool json = false;
};

// Prints where the image is; what the compilers say goes to stderr. Throws, saying what to do.
void buildImage(const BuildOptions& options);

// Prints where the SDK is.
struct SdkPathOptions {
  kj::Maybe<kj::String> sdk;
  bool json = false;
};
void printSdkPath(const SdkPathOptions& options);

}  // namespace ww
