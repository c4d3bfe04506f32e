#include <ww/epoch/lease.h>

#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/epoch/lease-list.h>

namespace ww {

Lease::Lease(LeaseList& list, kj::Own<const HeadSeq> current, Epoch issued,
             kj::Own<const LeaseEnd> over)
    : list(list), current(kj::mv(current)), epoch(kj::mv(issued)), over(kj::mv(over)) {}

Lease::~Lease() noexcept(false) {
  KJ_IF_MAYBE(l, list) l->forget(*this);
  // In words of its own: those that KJ finds for a fulfiller that is dropped take longer than the
  // rest of a session.
  KJ_IF_MAYBE(e, ending) {
    if (!settled) e->pair.fulfiller->reject(ended("the session was dropped"));
  }
}

kj::Maybe<kj::Exception> Lease::findEnd() const {
  if (stands()) return nullptr;
  return reason();
}

kj::Exception Lease::reason() const {
  KJ_IF_MAYBE(exception, words) return kj::cp(*exception);
  KJ_IF_MAYBE(exception, over->findReason()) return kj::mv(*exception);
  auto now = current->value.load(std::memory_order_acquire);
  return failure("staleEpoch", kj::str("issued ", epoch.seq, ", current ", now));
}

void Lease::check() const {
  KJ_IF_MAYBE(exception, findEnd()) kj::throwFatalException(kj::mv(*exception));
}

kj::Promise<void> Lease::onEnded() {
  if (settled) return kj::READY_NOW;
  KJ_IF_MAYBE(e, ending) return e->promise.addBranch();
  return ending.emplace().promise.addBranch();
}

kj::Promise<void> Lease::failOnEnd() {
  if (settled) return reason();
  KJ_IF_MAYBE(f, failing) return f->promise.addBranch();
  return failing.emplace().promise.addBranch();
}

void Lease::revoke(kj::StringPtr why) { endBecause(failure("revoked", why)); }
void Lease::finish(kj::StringPtr why) { endBecause(ended(why)); }

void Lease::endBecause(kj::Exception&& exception) {
  if (settled) return;
  if (stands()) over->end(kj::mv(exception));  // else the head was first
  settleLater();
}

void Lease::settleLater() {
  kj::evalLater([self = kj::addRef(*this)]() mutable { self->settle(); })
      .detach([](kj::Exception&& e) { KJ_LOG(ERROR, "ending a lease", e); });
}

void Lease::settle() {
  if (settled) return;
  settled = true;
  auto why = reason();
  words = kj::cp(why);
  // Each round destroys at least one body, even when a destructor throws.
  while (!bodies.isEmpty()) {
    KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() { bodies.cancel(why); })) {
      KJ_LOG(ERROR, "destroying a body whose lease has ended", *exception);
    }
  }
  KJ_IF_MAYBE(e, ending) e->pair.fulfiller->fulfill();
  KJ_IF_MAYBE(f, failing) f->pair.fulfiller->reject(kj::mv(why));
}

}  // namespace ww
