#pragma once
// Where wakes from other threads wait for their loop. Counted by reference from any thread, since a
// waker may outlive the engine; after close() wakes are dropped.

#include <atomic>
#include <ww/base/inbox.h>

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
  void wake(uint64_t id) { ids->put(id); }

  // The loop's thread. Resolves once there are wakes.
  kj::Promise<void> onWake() { return ids->onThings(); }
  kj::Vector<uint64_t> take() { return ids->take(); }

  // Drops all wakes from now on.
  void close() { ids->close(); }

 private:
  std::atomic<uint32_t> count{1};
  const kj::Own<const Inbox<uint64_t>> ids = kj::atomicRefcounted<Inbox<uint64_t>>();
};

}  // namespace ww::ffi
