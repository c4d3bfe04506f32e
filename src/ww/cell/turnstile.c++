#include <ww/cell/turnstile.h>

namespace ww {

kj::Promise<kj::Own<Turnstile::Pass>> Turnstile::enter() {
  if (!occupied) {
    occupied = true;
    return kj::heap<Pass>(kj::addRef(*this));
  }
  if (waiting.size() >= forgetAt) {
    forgetGivenUp();
    forgetAt = kj::max(forgetAt, 2 * waiting.size());
  }
  auto paf = kj::newPromiseAndFulfiller<kj::Own<Pass>>();
  waiting.push_back(kj::mv(paf.fulfiller));
  return kj::mv(paf.promise);
}

// Those that come and give up without end would fill the queue behind one that stays.
void Turnstile::forgetGivenUp() {
  std::erase_if(waiting, [](auto& fulfiller) { return !fulfiller->isWaiting(); });
}

size_t Turnstile::countPending() {
  forgetGivenUp();
  return waiting.size() + occupied;
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
