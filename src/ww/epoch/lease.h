#pragma once
// What one session's authority hangs on. A lease is issued under one epoch and ends once, for one
// of three reasons, each with its prefix on the wire:
//
//   staleEpoch: issued N, current M    the head moved
//   revoked: ...                       the key behind the session was removed
//   ended: ...                         the session's link, its cell or the node is gone
//
// Ending has two halves. At once, from any point of the program: stands() is false, and every check
// refuses. An event later, and never from within a body that it ends: bodies in flight that it
// holds are destroyed, and onEnded() resolves.
//
// Counted by reference on one event loop. It may outlive the list that it is in. Each loop that
// serves some of a session has a lease of it, its own; what they share ends them all at once.

#include <atomic>
#include <kj/async.h>
#include <kj/exception.h>
#include <kj/list.h>
#include <kj/refcount.h>
#include <kj/vector.h>
#include <ww/base/recycled.h>
#include <ww/epoch/epoch.h>
#include <ww/epoch/lease-end.h>

namespace ww {

class LeaseList;

// The node's current sequence number, of all loops.
// Read at each call: in a cache line of its own, and the one that is fetched with it.
class alignas(128) HeadSeq final: public kj::AtomicRefcounted {
 public:
  explicit HeadSeq(uint64_t seq): value(seq) {}
  mutable std::atomic<uint64_t> value;
};

// What another loop takes to have a lease of the same session: LeaseList::join().
struct LeaseShare {
  kj::Own<const HeadSeq> current;
  Epoch issued;
  kj::Own<const LeaseEnd> end;
};

class Lease final: public kj::Refcounted, public Recycled<Lease> {
 public:
  // For LeaseList.
  Lease(LeaseList& list, kj::Own<const HeadSeq> current, Epoch issued,
        kj::Own<const LeaseEnd> over);
  ~Lease() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Lease);

  const Epoch& issued() const { return epoch; }
  uint64_t issuedSeq() const { return epoch.seq; }

  // Cheap: two loads.
  bool stands() const {
    return !over->isOver() && current->value.load(std::memory_order_acquire) == epoch.seq;
  }

  LeaseShare share() const {
    return {kj::atomicAddRef(*current), epoch.clone(), kj::atomicAddRef(*over)};
  }

  // Why it does not stand. Only when it does not.
  kj::Exception reason() const;
  kj::Maybe<kj::Exception> findEnd() const;

  // Throws reason() unless it stands. A method with an effect outside of this process calls it
  // after each co_await, right before the effect.
  void check() const;

  // Resolves an event after the end, at once if that has passed. Any number of callers. If the
  // lease is dropped without having ended, rejects.
  kj::Promise<void> onEnded();

  // For whoever is to fail by the end: never resolves, and rejects with reason() when the others
  // are told, or at once. It is made for many callers: nothing is thrown.
  kj::Promise<void> failOnEnd();

  // Holds a body in flight: when the lease ends it is destroyed, and the promise returned rejects
  // with reason().
  template <typename T>
  kj::Promise<T> hold(kj::Promise<T>&& body) {
    KJ_IF_MAYBE(exception, findEnd()) return kj::mv(*exception);
    return bodies.wrap(kj::mv(body));
  }

  // Lives as long as the lease does: for what is to happen when a session is gone.
  void attach(kj::Own<void> object) { attachments.add(kj::mv(object)); }

  // Each ends it, unless it has ended; the first reason stays. From anywhere, a body that it holds
  // included: that body goes on to its next wait.
  void revoke(kj::StringPtr why);
  void finish(kj::StringPtr why);

 private:
  friend class LeaseList;
  void endBecause(kj::Exception&& exception);

  // The second half. Not from within a body.
  void settle();
  void settleLater();

  kj::Maybe<LeaseList&> list;  // that it is in
  kj::Own<const HeadSeq> current;
  const Epoch epoch;
  kj::Own<const LeaseEnd> over;  // that of its session
  kj::Maybe<kj::Exception> words;  // once it is settled: the same for ever
  bool settled = false;
  kj::Canceler bodies;
  struct Awaited {
    kj::PromiseFulfillerPair<void> pair = kj::newPromiseAndFulfiller<void>();
    kj::ForkedPromise<void> promise = pair.promise.fork();
  };
  kj::Maybe<Awaited> ending, failing;  // once somebody waits for it, or is to fail
  kj::ListLink<Lease> link;
  kj::Vector<kj::Own<void>> attachments;
};

}  // namespace ww
