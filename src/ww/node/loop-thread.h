#pragma once
// One of a node's loops beyond the first, with a thread of its own. It has no sockets and no
// sessions: cells are placed on it, and served there.
//
// Made and dropped on the node's first loop.

#include <kj/mutex.h>
#include <kj/thread.h>
#include <ww/ffi/caching-compiler.h>
#include <ww/ffi/engine.h>
#include <ww/node/node-loop.h>

namespace ww {

// What it has of the node. References outlive it.
struct LoopThreadParts {
  const LoopBoard& board;
  ffi::EngineOptions engine;
  const ffi::EngineHandle& sharedEngine;
  ffi::Compiler& compiler;  // of any thread
  const ffi::KeptComponents& kept;
  const CellList& list;
  LineQuota& lines;         // of the first loop
  const LimitCounts& hits;
  Limits limits;
};

class LoopThread final {
 public:
  // Returns once the loop is there; throws if it cannot be.
  LoopThread(kj::uint number, LoopThreadParts parts);

  // Ends all of its cells, and waits for its thread.
  ~LoopThread() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(LoopThread);

  // Has it end, without waiting. Again: nothing.
  void stop();

  // The head has moved: its leases of older epochs are settled.
  void settleLeases();

 private:
  struct Start {
    bool done = false;
    kj::Maybe<kj::Exception> failure;
  };
  void run();
  void serve();
  void tellStart(kj::Maybe<kj::Exception> failure);

  const kj::uint number;
  LoopThreadParts parts;
  kj::Own<const LoopInbox> inbox;
  kj::MutexGuarded<Start> start;

  // The thread's own.
  kj::Own<kj::PromiseFulfiller<void>> stopped;
  kj::Maybe<LeaseList&> leases;

  kj::Thread thread;
};

}  // namespace ww
