#pragma once
// What stands between a provider's bytes and the HTTP client that understands them, which bounds
// less than a hostile peer asks for: a rate for all connections, and for WebSockets what their
// frames may be.

#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/timer.h>

namespace ww {

// In the long run, of one connection: a body in chunks of a byte takes the loop most of a second
// for each MiB.
constexpr uint64_t PROVIDER_BYTES_PER_SECOND = 1 << 20;

// Reads at a bounded rate; writes as it is.
kj::Own<kj::AsyncIoStream> throttle(kj::Own<kj::AsyncIoStream> inner, kj::Timer& timer);

// For a client's WebSocket, from its HTTP handshake on. A read rejects once the peer sends
// - as the handshake's answer anything but `HTTP/1.1 101` with lines that end in CR and LF, or more
//   than MAX_WS_HEADER_BYTES of it: who reads sees nothing of another answer, which the exception
//   tells, and never two answers,
// - a message of more than MAX_WS_MESSAGE_BYTES,
// - pings, pongs and closes faster than one a second in the long run (MAX_WS_CONTROL_BURST at
//   once),
// - pieces of a message that are empty, or more than MAX_WS_PIECES of one.
// A few KiB are read at once: KJ recurses for each frame that it has read already.
kj::Own<kj::AsyncIoStream> guardFrames(kj::Own<kj::AsyncIoStream> inner, kj::Timer& timer);

constexpr size_t MAX_WS_HEADER_BYTES = 8 << 10;
constexpr uint64_t MAX_WS_MESSAGE_BYTES = 2 << 20;
constexpr kj::uint MAX_WS_CONTROL_BURST = 16;
constexpr kj::uint MAX_WS_PIECES = 1024;

// `inner`, with each connection that it makes wrapped.
using StreamWrapper = kj::Function<kj::Own<kj::AsyncIoStream>(kj::Own<kj::AsyncIoStream>)>;
kj::Own<kj::Network> wrapStreams(kj::Network& inner, StreamWrapper wrap);

}  // namespace ww
