#pragma once
// What guests are built with: the SDK, and the programs of this machine that it takes.

#include <kj/string.h>

namespace ww {

// Where the SDK is: what was asked for, else beside this program, as a build has it, else
// ../share/ww/sdk of its folder, as `make install` puts it. Throws, saying what to do.
kj::String findSdk(const kj::Maybe<kj::String>& asked);

// Throws, naming what is missing and how it is had, unless guests in C++, or in Rust by the
// toolchain that this project has, can be compiled here.
void requireCppCompiler();
void requireRustTarget(kj::StringPtr project);

// Runs a program in `folder`, found on the PATH, its output going to stderr; `env`: NAME=VALUE,
// beside ours. `output`: takes its stdout instead. Throws unless it ends with 0.
void runProgram(kj::ArrayPtr<const kj::String> words, kj::StringPtr folder,
                kj::ArrayPtr<const kj::String> env = nullptr,
                kj::Maybe<kj::String&> output = nullptr);

}  // namespace ww
