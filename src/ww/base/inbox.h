#pragma once
// What other threads leave for an event loop: things, in the order they came, or things to do.
//
// Any thread puts; the loop's own takes. Counted by reference from any thread; after close() what
// is put is dropped where it was put. A lock is held for a moment on either side, and never while
// anything of the user's runs. The loop is rung for the first thing of several.

#include <kj/async.h>
#include <kj/debug.h>
#include <kj/function.h>
#include <kj/mutex.h>
#include <kj/refcount.h>
#include <kj/vector.h>

namespace ww {

template <typename T>
class Inbox final: public kj::AtomicRefcounted {
 public:
  Inbox() {}
  KJ_DISALLOW_COPY_AND_MOVE(Inbox);

  // False: it is closed.
  bool put(T thing) const {
    auto lock = state.lockExclusive();
    if (lock->closed) return false;
    lock->things.add(kj::mv(thing));
    KJ_IF_MAYBE(doorbell, lock->doorbell) {
      doorbell->get()->fulfill();
      lock->doorbell = nullptr;
    }
    return true;
  }

  // Resolves once there is something to take. One at a time.
  kj::Promise<void> onThings() const {
    auto paf = kj::newPromiseAndCrossThreadFulfiller<void>();
    auto lock = state.lockExclusive();
    if (!lock->things.empty()) return kj::READY_NOW;
    lock->doorbell = kj::mv(paf.fulfiller);
    return kj::mv(paf.promise);
  }

  kj::Vector<T> take() const {
    auto lock = state.lockExclusive();
    auto things = kj::mv(lock->things);
    lock->things = {};
    return things;
  }

  void close() const {
    kj::Vector<T> dropped;  // once the lock is gone
    auto lock = state.lockExclusive();
    lock->closed = true;
    lock->doorbell = nullptr;
    dropped = kj::mv(lock->things);
    lock->things = {};
  }

 private:
  struct State {
    kj::Vector<T> things;
    kj::Maybe<kj::Own<kj::CrossThreadPromiseFulfiller<void>>> doorbell;
    bool closed = false;
  };
  kj::MutexGuarded<State> state;
};

// Things to do on a loop. What one of them throws is logged.
class LoopInbox final: public kj::AtomicRefcounted {
 public:
  using Task = kj::Function<void()>;

  // Any thread. What it captures is dropped by the loop's thread, or by this one after close().
  bool post(Task task) const { return tasks->put(kj::mv(task)); }

  // The loop's thread: does what comes, for as long as the promise is kept.
  kj::Promise<void> serve() const {
    for (;;) {
      co_await tasks->onThings();
      runAll();
    }
  }

  // Does what is there now. For who will not serve it any more, and waits for no turn.
  void runAll() const {
    for (auto& task: tasks->take()) {
      KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() { task(); })) {
        KJ_LOG(ERROR, "a task from another loop failed", *exception);
      }
    }
  }

  void close() const { tasks->close(); }

 private:
  kj::Own<const Inbox<Task>> tasks = kj::atomicRefcounted<Inbox<Task>>();
};

}  // namespace ww
