#pragma once
// The node that a command is for: how it is reached, and how its refusals are told.

#include <ww/cli/options.h>
#include <ww/node/client.h>

namespace ww {

// Connects to it, as whom the options say. They outlive the promise. Rejects, saying what to do.
// `offered`: what it may fetch meanwhile, where a person named it by --to.
kj::Promise<kj::Own<NodeClient>> connectTo(kj::AsyncIoContext& io, const TargetOptions& options,
                                           Logger& logger,
                                           kj::Maybe<OfferedImages> offered = nullptr);

// What the node said, if it was the node that failed.
kj::StringPtr reasonOf(const kj::Exception& exception);

// Why something failed there, and what to do about it.
kj::String explain(const kj::Exception& exception);

// Writes to stdout, all of it: false, having said why on stderr, if that cannot be.
bool print(kj::StringPtr text);

}  // namespace ww
