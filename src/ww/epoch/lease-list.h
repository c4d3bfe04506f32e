#pragma once
// The leases of one loop. It outlives none of them: those that are left are of no list then.
//
// Lives on its loop. With an inbox, which that loop serves, its leases may be ended by other loops,
// and theirs may be joined here.

#include <kj/list.h>
#include <kj/map.h>
#include <ww/epoch/lease.h>

namespace ww {

class LeaseList final {
 public:
  explicit LeaseList(kj::Maybe<kj::Own<const LoopInbox>> inbox = nullptr): inbox(kj::mv(inbox)) {}
  ~LeaseList() noexcept(false) { finishAll("the node is shutting down"); }
  KJ_DISALLOW_COPY_AND_MOVE(LeaseList);

  // The first lease of a session.
  kj::Own<Lease> issue(kj::Own<const HeadSeq> current, Epoch issued);

  // This loop's lease of the session, one for all who ask. May have ended by now.
  kj::Own<Lease> join(LeaseShare share);

  // Settles those that do not stand: the second half of the head's moving.
  void settleEnded();

  // Ends each, and lists it no more: `revoked:` at once, with both halves, `ended:` the usual way.
  void revokeAll(kj::StringPtr why);
  void finishAll(kj::StringPtr why);

  size_t size() const { return leases.size(); }

 private:
  friend class Lease;
  friend class LeaseEnd;
  kj::Own<Lease> add(kj::Own<const HeadSeq> current, Epoch issued, kj::Own<const LeaseEnd> end);
  void forget(Lease& lease);
  void settle(const LeaseEnd& end);
  kj::Own<Lease> takeFirst();

  kj::Maybe<kj::Own<const LoopInbox>> inbox;
  kj::List<Lease, &Lease::link> leases;
  kj::HashMap<const LeaseEnd*, Lease*> bySession;
};

}  // namespace ww
