#include <ww/epoch/lease-list.h>

namespace ww {

// ----------------------------------------------------------------------------------- LeaseEnd

void LeaseEnd::end(kj::Exception&& reason) const {
  auto lock = state.lockExclusive();
  if (lock->reason != nullptr) return;
  lock->reason = kj::mv(reason);
  over.store(true, std::memory_order_release);
  for (auto& listener: lock->listeners) {
    listener.inbox->post([list = listener.list, self = kj::atomicAddRef(*this)]() {
      list->settle(*self);
    });
  }
}

kj::Maybe<kj::Exception> LeaseEnd::findReason() const {
  if (!isOver()) return nullptr;
  auto lock = state.lockShared();
  return lock->reason.map([](const kj::Exception& reason) { return kj::cp(reason); });
}

void LeaseEnd::tell(const LoopInbox& inbox, LeaseList& list) const {
  auto lock = state.lockExclusive();
  for (auto& listener: lock->listeners) {
    if (listener.list == &list) return;
  }
  lock->listeners.add(Listener{kj::atomicAddRef(inbox), &list});
}

// ---------------------------------------------------------------------------------- LeaseList

kj::Own<Lease> LeaseList::issue(kj::Own<const HeadSeq> current, Epoch issued) {
  return add(kj::mv(current), kj::mv(issued), kj::atomicRefcounted<LeaseEnd>());
}

kj::Own<Lease> LeaseList::join(LeaseShare share) {
  KJ_IF_MAYBE(lease, bySession.find(share.end.get())) return kj::addRef(**lease);
  auto lease = add(kj::mv(share.current), kj::mv(share.issued), kj::mv(share.end));
  // Whoever ended it before was heard by nobody here.
  if (!lease->stands()) lease->settleLater();
  return lease;
}

kj::Own<Lease> LeaseList::add(kj::Own<const HeadSeq> current, Epoch issued,
                              kj::Own<const LeaseEnd> end) {
  KJ_IF_MAYBE(i, inbox) end->tell(**i, *this);
  auto key = end.get();
  auto lease = kj::refcounted<Lease>(*this, kj::mv(current), kj::mv(issued), kj::mv(end));
  leases.add(*lease);
  bySession.insert(key, lease.get());
  return lease;
}

void LeaseList::forget(Lease& lease) {
  bySession.erase(lease.over.get());
  leases.remove(lease);
  lease.list = nullptr;
}

void LeaseList::settle(const LeaseEnd& end) {
  KJ_IF_MAYBE(found, bySession.find(&end)) {
    auto lease = kj::addRef(**found);
    forget(*lease);
    lease->settle();
  }
}

void LeaseList::settleEnded() {
  // References, since what a lease ends may be what kept the next one.
  kj::Vector<kj::Own<Lease>> ended;
  for (auto& lease: leases) {
    if (!lease.stands()) ended.add(kj::addRef(lease));
  }
  for (auto& lease: ended) {
    if (lease->list != nullptr) forget(*lease);
    lease->settle();
  }
}

kj::Own<Lease> LeaseList::takeFirst() {
  auto lease = kj::addRef(leases.front());
  forget(*lease);
  return lease;
}

void LeaseList::revokeAll(kj::StringPtr why) {
  while (!leases.empty()) {
    auto lease = takeFirst();
    lease->revoke(why);
    lease->settle();
  }
}

void LeaseList::finishAll(kj::StringPtr why) {
  while (!leases.empty()) takeFirst()->finish(why);
}

}  // namespace ww
