#pragma once
// Limits by their names: those under which they are refused, logged and counted, where they are.
// `ww run --limit NAME=VALUE` sets them, `ww limits` lists them. The largest message is not among
// them: guests are compiled for it.

#include <kj/string.h>
#include <ww/node/client-links.h>
#include <ww/node/node.h>

namespace ww {

// The defaults, and for all cells three quarters of the memory that the machine has.
Limits mostOfTheMachine();

struct NodeLimits {
  Limits cell = mostOfTheMachine();
  kj::Duration slice = ffi::EngineOptions().slice;
  kj::uint cells = ffi::EngineOptions().maxGuests;
  size_t stackBytes = ffi::EngineOptions().wasmStackBytes;
  DialPolicy dial;
  ClientLimits clients;
};

// `text` is NAME=VALUE: a number, a size (64m) or a duration (1.5s), each within bounds. Nothing if
// it was set, else what is wrong with it.
kj::Maybe<kj::String> setLimit(NodeLimits& limits, kj::StringPtr text);

struct LimitLine {
  kj::StringPtr name;
  kj::String value;  // as setLimit() takes it; `none`
  kj::StringPtr of;  // what it bounds
};
kj::Array<LimitLine> listLimits(const NodeLimits& limits);

}  // namespace ww
