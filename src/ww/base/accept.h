#pragma once
// Every connection that comes, until the promise is dropped. What cannot be accepted (descriptors
// have run out, the peer was gone again) ends nothing: it is tried again after a while.

#include <kj/async-io.h>
#include <kj/timer.h>

namespace ww {

constexpr kj::Duration AFTER_FAILED_ACCEPT = 100 * kj::MILLISECONDS;

// References outlive what this returns, which never resolves.
kj::Promise<void> acceptAll(kj::ConnectionReceiver& receiver, kj::Timer& timer,
                            kj::Function<void(kj::Own<kj::AsyncIoStream>)> handler);

}  // namespace ww
