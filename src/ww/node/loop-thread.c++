#include <ww/node/loop-thread.h>

#include <kj/async-io.h>
#include <kj/debug.h>
#include <stdlib.h>

namespace ww {

LoopThread::LoopThread(kj::uint number, LoopThreadParts parts)
    : number(number), parts(kj::mv(parts)),
      inbox(kj::atomicAddRef(this->parts.board.inboxOf(number))),
      thread([this]() { run(); }) {
  start.when([](const Start& s) { return s.done; }, [](Start& s) {
    KJ_IF_MAYBE(failure, s.failure) kj::throwFatalException(kj::mv(*failure));
  });
}

LoopThread::~LoopThread() noexcept(false) { stop(); }

void LoopThread::stop() {
  inbox->post([this]() { stopped->fulfill(); });
}

void LoopThread::settleLeases() {
  inbox->post([this]() { KJ_IF_MAYBE(l, leases) l->settleEnded(); });
}

void LoopThread::tellStart(kj::Maybe<kj::Exception> failure) {
  auto lock = start.lockExclusive();
  lock->done = true;
  lock->failure = kj::mv(failure);
}

void LoopThread::run() {
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([this]() { serve(); })) {
    if (!start.lockShared()->done) return tellStart(kj::mv(*exception));
    // No guest can bring that about. Who waits for this loop would wait for ever.
    KJ_LOG(FATAL, "one of the node's loops failed", *exception);
    abort();
  }
}

void LoopThread::serve() {
  auto io = kj::setupAsyncIo();
  KJ_DEFER({
    io.waitScope.poll();
    inbox->close();
  });
  auto& timer = io.provider->getTimer();
  auto paf = kj::newPromiseAndFulfiller<void>();
  stopped = kj::mv(paf.fulfiller);
  LeaseList own(kj::atomicAddRef(*inbox));
  leases = own;
  ffi::Engine engine(parts.engine, parts.sharedEngine, timer, io.waitScope);
  ffi::CachingCompiler compiler(parts.compiler, kj::atomicAddRef(parts.kept));
  FarLines lines(parts.board.inboxOf(0), parts.lines);
  LimitHits hits(lines, kj::atomicAddRef(parts.hits));
  NodeLoop loop(parts.board, number,
                {engine, compiler, timer, lines, parts.list, hits, own, parts.limits});
  tellStart(nullptr);
  paf.promise.wait(io.waitScope);
  loop.getKeeper().end();
  own.finishAll("the node is shutting down");
  io.waitScope.poll();  // what both leave to the next turn: links, and bodies in flight
}

}  // namespace ww
