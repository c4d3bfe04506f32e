#pragma once
// Where wakes from other threads wait for their loop. Counted by reference from any thread, since a
// waker may outlive the engine; after close() wakes are dropped.

#include <atomic>
#include <kj/async.h>
#include <kj/mutex.h>
#include <kj/vector.h>

namespace ww::ffi {

class WakeInbox final {
 public:
  // One counted reference.
  class Ref {
   public:
    Ref(): inbox(new WakeInbox) {}
    ~Ref() noexcept(false) { inbox->unref(); }
    KJ_DISALLOW_COPY_AND_MOVE(Ref);
    WakeInbox* operator->() const { return inbox; }
    WakeInbox& operator*() const { return *inbox; }

   private:
    WakeInbox* inbox;
  };

  void ref() { count.fetch_add(1, std::memory_order_relaxed); }
  void unref();

  // Any thread: have the task with this number polled.
  void wake(uint64_t id);

  // The loop's thread. Resolves once there are wakes.
  kj::Promise<void> onWake();
  kj::Vector<uint64_t> take();

  // Drops all wakes from now on.
  void close();

 private:
  struct State {
    kj::Vector<uint64_t> ids;
    kj::Maybe<kj::Own<kj::CrossThreadPromiseFulfiller<void>>> doorbell;
    bool closed = false;
  };

  std::atomic<uint32_t> count{1};
  kj::MutexGuarded<State> state;
};

}  // namespace ww::ffi
