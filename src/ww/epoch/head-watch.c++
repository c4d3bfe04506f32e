#include <ww/epoch/head-watch.h>

#include <ww/base/error.h>

namespace ww {

HeadWatch::HeadWatch(HeadSource& source, kj::Maybe<kj::Own<const LoopInbox>> inbox)
    : HeadWatch(source, source.current(), kj::mv(inbox), kj::newPromiseAndFulfiller<void>()) {}

HeadWatch::HeadWatch(HeadSource& source, Epoch first, kj::Maybe<kj::Own<const LoopInbox>> inbox,
                     kj::PromiseFulfillerPair<void> paf)
    : source(source), newest(kj::mv(first)), current(kj::atomicRefcounted<HeadSeq>(newest.seq)),
      leases(kj::mv(inbox)),
      advancedFulfiller(kj::mv(paf.fulfiller)), advanced(paf.promise.fork()) {}

HeadWatch::~HeadWatch() noexcept(false) {}

kj::Own<Lease> HeadWatch::issue() {
  KJ_IF_MAYBE(why, closed) kj::throwFatalException(unauthorized(*why));
  return leases.issue(kj::atomicAddRef(*current), newest.clone());
}

void HeadWatch::close(kj::StringPtr why) {
  if (closed != nullptr) return;
  closed = kj::str(why);
  leases.revokeAll(why);
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
  leases.settleEnded();
  moved();
  auto told = kj::mv(advancedFulfiller);
  auto paf = kj::newPromiseAndFulfiller<void>();
  advancedFulfiller = kj::mv(paf.fulfiller);
  advanced = paf.promise.fork();
  told->fulfill();
}

kj::Promise<void> HeadWatch::onAdvance(uint64_t seq) {
  if (newest.seq > seq) return kj::READY_NOW;
  return advanced.addBranch().then([this, seq]() { return onAdvance(seq); });
}

}  // namespace ww
