#pragma once
// What one cell may have. Of memory and tables it has what its parent has left, if that is less:
// all that a cell starts is its own too.

#include <kj/common.h>
#include <kj/time.h>
#include <stdint.h>
#include <peer.capnp.h>
#include <ww/cell/limit-hits.h>
#include <ww/ffi/compiler.h>
#include <ww/link/rpc-link.h>

namespace ww {

// Those of a link over which components are run.
inline LinkLimits linkLimits() {
  LinkLimits limits;
  limits.quota.largeInterface = capnp::typeId<peer::Executor>();
  limits.quota.largeMethod = 0;  // runBytes
  return limits;
}

// That which a link came up against, as it is logged.
kj::String valueOf(LimitKind kind, const LinkLimits& limits);

struct Limits {
  uint64_t memoryBytes = 256ull << 20;     // over all linear memories
  uint64_t tableElements = 65536;          // over all tables
  kj::uint memories = 8;
  kj::uint instances = 100;
  kj::uint resources = 10'000;             // WASI's: streams, pollables, timers
  uint64_t hostcallBytes = 4 << 20;        // handed to the host by one call
  uint64_t randomBytes = 64 * 1024;        // asked for by one call
  size_t pipeBytes = 64 * 1024;            // of each of its three pipes
  kj::Maybe<kj::Duration> cpu;             // computed; then it ends with 124
  kj::Maybe<kj::Duration> wall;            // passed since its start, whatever it does; likewise
  ffi::CompileLimits compile;              // of its component, unless the node itself started it
  kj::Duration instantiation = 5 * kj::SECONDS;
  LinkLimits link = linkLimits();          // of its connection

  // Of all that was started in one session, by whoever holds it or by a cell of it.
  kj::uint descendants = 64;               // that run
  kj::uint depth = 8;                      // generations; pid0 is the first

  kj::uint held = 1024;  // cells of one parent, or their pipes, that somebody holds; ended ones too

  uint64_t nodeMemoryBytes = kj::maxValue;  // over all linear memories of all cells

  // Of all that one client's key started, over all of its links.
  kj::uint heldOfKey = 256;       // likewise
  kj::uint cellsWorthOfKey = 4;   // as much memory and tables as so many cells may have
};

}  // namespace ww
