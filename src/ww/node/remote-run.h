#pragma once
// One component on another node, with standard streams of this process's: what `ww exec` does.

#include <kj/async-io.h>
#include <kj/timer.h>
#include <ww/base/log.h>
#include <ww/node/client.h>
#include <ww/node/stdio.h>

namespace ww {

struct RemoteRunOptions {
  kj::Array<const kj::byte> wasm;
  kj::Array<kj::String> args;
  kj::Array<kj::String> env;
  kj::Duration timeout = 10 * kj::SECONDS;  // for the node to answer its graft
};

// Runs it to its end, and resolves to its exit code. Rejects, with what to do, when the graft or
// the component is refused, when the node does not answer, when the link goes first, and when what
// it wrote could not be written here, other than that nobody reads it any more. Resolving `kill`
// ends the component. Dropping the promise gives up the link, and so the session with all it runs.
kj::Promise<int32_t> runRemotely(NodeClient& client, kj::Timer& timer, RemoteRunOptions options,
                                 StandardStreams streams, kj::Promise<void> kill);

// Starts it, and leaves it to the node: resolves to its number. Rejects likewise.
kj::Promise<uint64_t> runDetached(NodeClient& client, kj::Timer& timer,
                                  RemoteRunOptions options);

}  // namespace ww
