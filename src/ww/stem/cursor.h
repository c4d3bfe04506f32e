#pragma once
// How far a node has followed one Stem contract: kept, so that a restart never adopts an older
// epoch than the node had, and notices when the chain took back what was final.

#include <kj/async.h>
#include <kj/string.h>
#include <kj/vector.h>
#include <ww/epoch/epoch.h>
#include <ww/stem/chain.h>

namespace ww {

struct StemCursor {
  uint64_t chainId = 0;
  BlockRef final;  // the newest final block that was looked at
  Epoch epoch;     // the newest that was adopted; head is at most MAX_HEAD_BYTES

  StemCursor clone() const { return {chainId, final, epoch.clone()}; }
};

// Why `next` may not be saved where `kept` was saved last: its head is too long, its chain is
// another, or it goes back to a lower sequence number. The one rule of all stores.
kj::Maybe<kj::String> findObjection(const kj::Maybe<StemCursor>& kept, const StemCursor& next);

// Lives on one event loop. One call at a time; they take effect in the order they were made.
// Dropping a promise gives nothing up: a save may be done all the same.
class CursorStore {
 public:
  virtual ~CursorStore() noexcept(false) {}

  // What was saved last for this contract; nothing if nothing was. What it yields survives a loss
  // of power, even if the save that wrote it never resolved. Rejects when it cannot be read.
  virtual kj::Promise<kj::Maybe<StemCursor>> load(const EthAddress& contract) = 0;

  // Resolves once it would survive a loss of power. Rejects when findObjection() has one, or when
  // it cannot be written; what was saved before stands. After a failed write it is not known which
  // of the two a node finds that starts again.
  virtual kj::Promise<void> save(const EthAddress& contract, StemCursor cursor) = 0;

  // Removes it, by the operator's order alone. Resolves as save() does.
  virtual kj::Promise<void> forget(const EthAddress& contract) = 0;
};

// Keeps them while it lives. For tests.
class MemoryCursorStore final: public CursorStore {
 public:
  kj::Promise<kj::Maybe<StemCursor>> load(const EthAddress& contract) override;
  kj::Promise<void> save(const EthAddress& contract, StemCursor cursor) override;
  kj::Promise<void> forget(const EthAddress& contract) override;

 private:
  struct Entry {
    EthAddress contract;
    StemCursor cursor;
  };
  kj::Vector<Entry> entries;
  kj::Maybe<Entry&> find(const EthAddress& contract);
};

}  // namespace ww
