#pragma once
// Where epochs come from. A source knows of final heads only: what it once gave is never taken
// back, and sequence numbers only grow. Lives on one event loop.

#include <kj/async.h>
#include <ww/epoch/epoch.h>

namespace ww {

class HeadSource {
 public:
  virtual ~HeadSource() noexcept(false) {}

  // The newest epoch known now. Called at start; a source that must ask somebody has done so.
  virtual Epoch current() = 0;

  // Resolves to an epoch with a sequence number above `seq`: the newest, if several have come.
  // Rejects when the source can follow the head no longer. Dropping the promise is fine.
  virtual kj::Promise<Epoch> nextAfter(uint64_t seq) = 0;
};

// A head that never moves: sequence number 0, empty, block 0.
class StaticHeadSource final: public HeadSource {
 public:
  Epoch current() override { return {}; }
  kj::Promise<Epoch> nextAfter(uint64_t) override { return kj::NEVER_DONE; }
};

// A head that its owner moves: for tests, and for operators who want to see an epoch end.
class ManualHeadSource final: public HeadSource {
 public:
  ManualHeadSource();

  // Moves the head on by one.
  void advance(kj::ArrayPtr<const kj::byte> head = nullptr, uint64_t adoptedBlock = 0);

  // Makes the source fail for whoever follows it, from now on.
  void fail(kj::Exception&& exception);

  Epoch current() override { return epoch.clone(); }
  kj::Promise<Epoch> nextAfter(uint64_t seq) override;

 private:
  Epoch epoch;
  kj::Maybe<kj::Exception> failure;
  kj::Own<kj::PromiseFulfiller<void>> changedFulfiller;
  kj::ForkedPromise<void> changed;

  explicit ManualHeadSource(kj::PromiseFulfillerPair<void> paf);
  void announce();
};

}  // namespace ww
