#pragma once
// Heads that were seen, and may become final or not: a hint of what to make ready, and never a
// reason to do anything that counts. Lives on one event loop.

#include <kj/array.h>
#include <kj/async.h>

namespace ww {

class PendingHeads {
 public:
  virtual ~PendingHeads() noexcept(false) {}

  // The newest, where it is newer than the epoch. Whoever told of it may have lied.
  virtual kj::Maybe<kj::Array<const kj::byte>> findPending() const = 0;

  // Resolves once another was seen, or may have been. Dropping the promise is fine.
  virtual kj::Promise<void> onPending() = 0;
};

// None is ever seen.
class NoPendingHeads final: public PendingHeads {
 public:
  kj::Maybe<kj::Array<const kj::byte>> findPending() const override { return nullptr; }
  kj::Promise<void> onPending() override { return kj::NEVER_DONE; }
};

}  // namespace ww
