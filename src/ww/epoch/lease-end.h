#pragma once
// How a session ended other than by the head: one for all of its leases, of which each loop that
// serves some of it has one.
//
// Any thread ends it, and from then on no lease of it stands, on any loop. Each loop's list is
// told, by its inbox, and settles its own.

#include <atomic>
#include <kj/exception.h>
#include <kj/mutex.h>
#include <kj/refcount.h>
#include <kj/vector.h>
#include <ww/base/inbox.h>
#include <ww/base/recycled.h>

namespace ww {

class LeaseList;

// Read at each call: in a cache line of its own, and the one that is fetched with it.
class alignas(128) LeaseEnd final: public kj::AtomicRefcounted, public Recycled<LeaseEnd> {
 public:
  LeaseEnd() {}
  KJ_DISALLOW_COPY_AND_MOVE(LeaseEnd);

  bool isOver() const { return over.load(std::memory_order_acquire); }

  // The first reason stays.
  void end(kj::Exception&& reason) const;
  kj::Maybe<kj::Exception> findReason() const;

  // `list` is of the loop that serves `inbox`, for as long as it does. Again: nothing.
  void tell(const LoopInbox& inbox, LeaseList& list) const;

 private:
  struct Listener {
    kj::Own<const LoopInbox> inbox;
    LeaseList* list;
  };
  struct State {
    kj::Maybe<kj::Exception> reason;
    kj::Vector<Listener> listeners;
  };
  mutable std::atomic<bool> over{false};
  kj::MutexGuarded<State> state;
};

}  // namespace ww
