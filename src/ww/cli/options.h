#pragma once
// What the command line says, with the environment and the defaults behind it:
// flags > WW_* variables > defaults.

#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/string.h>
#include <ww/node/network.h>

namespace ww {

struct RunOptions {
  kj::Maybe<kj::String> image;  // none: the one built in
  kj::Array<kj::String> args;   // for the image
  kj::Array<kj::String> env;    // KEY=VALUE, for the image
  kj::Maybe<kj::String> dataDir;
  kj::String logLevel;   // trace, debug, info, warning or error
  kj::String logFormat;  // text or json
  bool wasmDebug = false;
  bool advanceOnSignal = false;
  NetworkOptions network;
  bool dialPrivate = false;  // cells may dial private addresses
  kj::Array<kj::String> allow;      // keys that may graft from elsewhere: KEY or KEY,node
  kj::Maybe<kj::String> allowFile;  // with more of them
};

struct ExecOptions {
  kj::Maybe<kj::String> on;         // a node; none: the local one
  kj::Maybe<kj::String> component;  // none: the shell
  kj::Array<kj::String> args;
  kj::Array<kj::String> env;
  kj::Maybe<kj::String> identity;   // a key file; none: the data folder's
  kj::Maybe<kj::String> dataDir;
  kj::Duration timeout = 10 * kj::SECONDS;
  kj::String logLevel;
  kj::String logFormat;
};

struct KeygenOptions {
  kj::String file;
  bool json = false;
};

// The process is to print this and to end: help, the version, or what was wrong with the words.
struct Ending {
  int exitCode;
  kj::String toStdout;
  kj::String toStderr;
};

// `words` without the program's own name. Reads WW_* from the environment.
using Command = kj::OneOf<RunOptions, ExecOptions, KeygenOptions, Ending>;
Command parseOptions(kj::ArrayPtr<const kj::StringPtr> words);

}  // namespace ww
