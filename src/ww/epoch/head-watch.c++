#include <ww/epoch/head-watch.h>

#include <kj/vector.h>
#include <ww/base/error.h>

namespace ww {

HeadWatch::HeadWatch(HeadSource& source)
    : HeadWatch(source, source.current(), kj::newPromiseAndFulfiller<void>()) {}

HeadWatch::HeadWatch(HeadSource& source, Epoch first, kj::PromiseFulfillerPair<void> paf)
    : source(source), newest(kj::mv(first)), current(kj::atomicRefcounted<HeadSeq>(newest.seq)),
      advancedFulfiller(kj::mv(paf.fulfiller)), advanced(paf.promise.fork()) {}

HeadWatch::~HeadWatch() noexcept(false) {
  while (!leases.empty()) {
    auto lease = kj::addRef(leases.front());
    forget(*lease);
    lease->finish("the node is shutting down");
  }
}

void HeadWatch::forget(Lease& lease) {
  leases.remove(lease);
  lease.watch = nullptr;
}

kj::Own<Lease> HeadWatch::issue() {
  KJ_IF_MAYBE(why, closed) kj::throwFatalException(unauthorized(*why));
  auto lease = kj::refcounted<Lease>(*this, kj::atomicAddRef(*current), newest.clone());
  leases.add(*lease);
  return lease;
}

void HeadWatch::close(kj::StringPtr why) {
  if (closed != nullptr) return;
  closed = kj::str(why);
  while (!leases.empty()) {
    auto lease = kj::addRef(leases.front());
    forget(*lease);
    lease->revoke(why);
    lease->settle();
  }
}

kj::Promise<void> HeadWatch::follow() {
  for (;;) {
    auto next = co_await source.nextAfter(newest.seq);
    if (closed != nullptr) co_await kj::Promise<void>(kj::NEVER_DONE);
    store(kj::mv(next));
    // This turn is no body's: what the loop has queued by now comes after both halves.
    tell();
  }
}

void HeadWatch::store(Epoch epoch) {
  if (epoch.seq <= newest.seq) {
    kj::throwFatalException(badInput(kj::str("the head's source went back: from epoch ",
                                             newest.seq, " to ", epoch.seq)));
  }
  newest = kj::mv(epoch);
  current->value.store(newest.seq, std::memory_order_release);
}

kj::Promise<void> HeadWatch::announce() {
  return kj::evalLater([this]() { tell(); });
}

void HeadWatch::tell() {
  endStaleLeases();
  auto told = kj::mv(advancedFulfiller);
  auto paf = kj::newPromiseAndFulfiller<void>();
  advancedFulfiller = kj::mv(paf.fulfiller);
  advanced = paf.promise.fork();
  told->fulfill();
}

void HeadWatch::endStaleLeases() {
  // References, since what a lease ends may be what kept the next one.
  kj::Vector<kj::Own<Lease>> stale;
  for (auto& lease: leases) {
    if (lease.issuedSeq() != newest.seq) stale.add(kj::addRef(lease));
  }
  for (auto& lease: stale) {
    forget(*lease);
    lease->settle();
  }
}

kj::Promise<void> HeadWatch::onAdvance(uint64_t seq) {
  if (newest.seq > seq) return kj::READY_NOW;
  return advanced.addBranch().then([this, seq]() { return onAdvance(seq); });
}

}  // namespace ww
