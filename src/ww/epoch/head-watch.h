#pragma once
// One node's view of its head: follows a HeadSource, and ends the leases of older epochs.
//
// An advance has two halves. The sequence number, an atomic that every lease reads, is stored
// first: from then on no lease of an older epoch stands, on any loop. Then those leases are ended,
// in the same turn of this loop and so before all that it has queued; in time proportional to the
// leases and to the bodies in flight, not to the capabilities behind them.
//
// Lives on one event loop; its leases may outlive it, and are `ended:` then. Other loops read the
// sequence number too, and each settles its own leases once it is told.

#include <kj/async.h>
#include <kj/function.h>
#include <ww/epoch/head-source.h>
#include <ww/epoch/lease-list.h>

namespace ww {

class HeadWatch final {
 public:
  // Starts at the source's current epoch. The source outlives it. `inbox`: of its leases.
  explicit HeadWatch(HeadSource& source, kj::Maybe<kj::Own<const LoopInbox>> inbox = nullptr);
  ~HeadWatch() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(HeadWatch);

  // Follows the source for as long as the promise is kept. Never resolves; rejects when the source
  // fails, or gives an epoch that is not newer: the node then stays in the epoch it has.
  kj::Promise<void> follow();

  uint64_t seq() const { return current->value.load(std::memory_order_acquire); }
  const Epoch& epoch() const { return newest; }

  // A lease under the current epoch. Throws `unauthorized:` after close().
  kj::Own<Lease> issue();

  // The head can be trusted no longer: revokes every lease for this reason, and issues none. For
  // good; what the source says then is not heard. Not from within a body.
  void close(kj::StringPtr why);
  kj::Maybe<kj::StringPtr> findClosed() const {
    return closed.map([](const kj::String& why) -> kj::StringPtr { return why; });
  }

  // Resolves once the sequence number is above `seq`.
  kj::Promise<void> onAdvance(uint64_t seq);

  // The two halves of an advance, for who is in a body that the second may end: follow() takes both
  // in a turn of its own.
  void store(Epoch epoch);        // throws unless it is newer
  kj::Promise<void> announce();   // schedules the event; resolves when it has run

  // `told` once the head has moved, in the turn in which the leases of this loop are settled.
  void onMove(kj::Function<void()> told) { moved = kj::mv(told); }

  size_t leaseCount() const { return leases.size(); }
  LeaseList& getLeases() { return leases; }

 private:
  void tell();

  HeadSource& source;
  Epoch newest;
  kj::Own<const HeadSeq> current;
  LeaseList leases;
  kj::Function<void()> moved = []() {};
  kj::Maybe<kj::String> closed;
  kj::Own<kj::PromiseFulfiller<void>> advancedFulfiller;
  kj::ForkedPromise<void> advanced;

  HeadWatch(HeadSource& source, Epoch first, kj::Maybe<kj::Own<const LoopInbox>> inbox,
            kj::PromiseFulfillerPair<void> paf);
};

}  // namespace ww
