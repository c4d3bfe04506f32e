#pragma once
// One component on another node, with this process's standard streams: what `ww exec` does.

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <ww/base/log.h>
#include <ww/node/client.h>

namespace ww {

struct RemoteRunOptions {
  kj::Array<const kj::byte> wasm;
  kj::Array<kj::String> args;
  kj::Array<kj::String> env;
};

// Runs it to its end, and resolves to its exit code. Rejects, with what to do, when the graft or
// the component is refused, and when the link goes first. Resolving `kill` ends the component.
// Dropping the promise gives up the link, and so the session with all it runs.
kj::Promise<int32_t> runRemotely(kj::LowLevelAsyncIoProvider& io, NodeClient& client,
                                 RemoteRunOptions options, kj::Promise<void> kill,
                                 Logger& logger);

// Starts it, and leaves it to the node: resolves to its number. Rejects likewise.
kj::Promise<uint64_t> runDetached(NodeClient& client, RemoteRunOptions options);

}  // namespace ww
