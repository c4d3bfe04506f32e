#pragma once
// What the command line says, with the environment and the defaults behind it:
// flags > WW_* variables > defaults.

#include <kj/array.h>
#include <kj/one-of.h>
#include <kj/string.h>
#include <ww/cli/image-commands.h>
#include <ww/cli/make-options.h>
#include <ww/node/chain-source.h>
#include <ww/node/image-store.h>
#include <ww/node/limit-table.h>
#include <ww/node/network.h>
#include <ww/node/volume.h>

namespace ww {

struct RunOptions {
  kj::Vector<kj::String> layers;  // of the image; none: the one built in
  kj::Vector<Volume> volumes;     // for the image
  SourceOptions sources;          // of layers that are content
  uint64_t storeBytes = DEFAULT_STORE_BYTES;
  kj::Array<kj::String> args;   // for the image
  kj::Array<kj::String> env;    // KEY=VALUE, for the image
  kj::Maybe<kj::String> dataDir;
  kj::String logLevel;   // trace, debug, info, warning or error
  kj::String logFormat;  // text or json
  bool wasmDebug = false;
  bool advanceOnSignal = false;
  NetworkOptions network;
  NodeLimits limits;
  kj::Array<kj::String> allow;      // keys that may graft from elsewhere: KEY or KEY,node
  kj::Maybe<kj::String> allowFile;  // with more of them
  kj::Maybe<kj::String> metrics;    // [IP][:PORT]: where metrics and health are served
  kj::Maybe<kj::uint> threads;      // loops that cells run on; none: one a core
  kj::Maybe<ChainOptions> chain;    // whose head is followed
  kj::Duration grace = 5 * kj::SECONDS;  // for the cells of a session that has ended
};

// Which node a command is for, and as whom.
struct TargetOptions {
  kj::Maybe<kj::String> on;         // none: the local one
  kj::Maybe<kj::String> identity;   // a key file; none: the data folder's
  kj::Maybe<kj::String> dataDir;
  kj::Duration timeout = 10 * kj::SECONDS;  // of dials, and of the answer to a graft
  kj::String logLevel;
  kj::String logFormat;
};

struct ExecOptions: TargetOptions {
  kj::Maybe<kj::String> component;  // none: the shell
  kj::Array<kj::String> args;
  kj::Array<kj::String> env;
  bool detach = false;
  bool json = false;
};

// What a node is asked, or told.
struct AskOptions: TargetOptions {
  enum class What {
    PS, KILL, LOGS, INSPECT, CAPS, EPOCH, PEER_ID, PEER_LS, PEER_CONNECT, PEER_PING
  };
  What what = What::PS;
  uint64_t cell = 0;        // KILL, LOGS, INSPECT
  bool follow = false;      // LOGS
  kj::String peer;          // PEER_CONNECT: a multiaddr; PEER_PING: a peer id
  bool json = false;
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
using Command =
    kj::OneOf<RunOptions, ExecOptions, AskOptions, KeygenOptions, ImageOptions, MakeOptions,
              Ending>;
Command parseOptions(kj::ArrayPtr<const kj::StringPtr> words);

}  // namespace ww
