#pragma once
// Lets one in at a time, in the order they came. A pass that is dropped lets the next one in; one
// that is no longer waited for is passed over. Lives on one event loop.

#include <kj/async.h>
#include <kj/refcount.h>
#include <list>

namespace ww {

class Turnstile final: public kj::Refcounted {
 public:
  class Pass {
   public:
    explicit Pass(kj::Own<Turnstile> turnstile): turnstile(kj::mv(turnstile)) {}
    ~Pass() noexcept(false) { turnstile->leave(); }
    KJ_DISALLOW_COPY_AND_MOVE(Pass);

   private:
    kj::Own<Turnstile> turnstile;
  };

  // Resolves when it is the caller's turn, which lasts as long as the pass.
  kj::Promise<kj::Own<Pass>> enter();

  // Whose turn it is, and those that wait for theirs.
  size_t countPending();

 private:
  void leave();
  void forgetGivenUp();

  bool occupied = false;
  size_t forgetAt = 16;
  std::list<kj::Own<kj::PromiseFulfiller<kj::Own<Pass>>>> waiting;
};

}  // namespace ww
