#pragma once
// One provider's word on a chain and on one Stem contract. Nothing of it is believed alone: see
// follower.h. Each read may reject, at any time; what it says then is for a person.

#include <kj/async.h>
#include <kj/one-of.h>
#include <ww/stem/chain.h>

namespace ww {

// What a provider lacks that waiting does not bring. `what` names it and says what to do.
struct NotOffered {
  kj::String what;
};

struct ChainView {
  BlockRef latest;
  kj::Maybe<BlockRef> final;  // none yet: the chain is too young
};

class ChainReader {
 public:
  virtual ~ChainReader() noexcept(false) {}

  // For people, and in logs: without any secret of its URL. Unique among a node's providers.
  virtual kj::StringPtr getName() const = 0;

  virtual kj::Promise<uint64_t> chainId() = 0;
  virtual kj::Promise<kj::OneOf<ChainView, NotOffered>> view(const Finality& finality) = 0;

  // Nothing where it has no such block.
  virtual kj::Promise<kj::Maybe<BlockHash>> blockAt(uint64_t number) = 0;

  // The contract's head at the end of the block with this hash; nothing if the contract was not
  // there. Rejects where it has no such block, or its chain no longer holds it.
  virtual kj::Promise<kj::Maybe<StemHead>> headAt(const BlockHash& hash) = 0;

  // The contract's events in these blocks, both inclusive. Asked again for each half where a
  // provider refuses the range. More than MAX_LOGS are a failure, and more calls than a reader
  // makes for one reading.
  static constexpr size_t MAX_LOGS = 4096;
  virtual kj::Promise<kj::Array<HeadLog>> logs(uint64_t from, uint64_t to) = 0;

  // Whether it pushes: of the head that is not final yet one tells by itself, and another is asked
  // for it.
  virtual bool canPush() const = 0;

  // Resolves when there may be something new: a block, or an event, which is given. For a
  // provider that does not push, never. Rejects when it pushes no longer; asked again, it tries
  // anew. One at a time.
  virtual kj::Promise<kj::Maybe<HeadLog>> nextHint() = 0;
};

}  // namespace ww
