#include <ww/cell/turnstile.h>

namespace ww {

kj::Promise<kj::Own<Turnstile::Pass>> Turnstile::enter() {
  if (!occupied) {
    occupied = true;
    return kj::heap<Pass>(kj::addRef(*this));
  }
  auto paf = kj::newPromiseAndFulfiller<kj::Own<Pass>>();
  waiting.push_back(kj::mv(paf.fulfiller));
  return kj::mv(paf.promise);
}

void Turnstile::leave() {
  occupied = false;
  while (!waiting.empty()) {
    auto next = kj::mv(waiting.front());
    waiting.pop_front();
    if (next->isWaiting()) {
      occupied = true;
      // If nobody takes it after all, the pass is dropped and comes back here.
      next->fulfill(kj::heap<Pass>(kj::addRef(*this)));
      return;
    }
  }
}

}  // namespace ww
