#pragma once
// A chain with one Stem contract, in memory, and providers of it that lag, fail and lie as a test
// tells them to.

#include <kj/debug.h>
#include <kj/timer.h>
#include <kj/vector.h>
#include <ww/base/error.h>
#include <ww/stem/chain-reader.h>

namespace ww {

class SimChain {
 public:
  static constexpr uint64_t ID = 31337;

  SimChain() { mine(); }

  // One more block, with `changes` changes of the head in it.
  void mine(kj::uint changes = 0) {
    Block block;
    for (auto& b: block.hash.bytes) b = kj::byte(nextRandom());
    block.head = blocks.empty() ? headOf(0, 0) : blocks.back().head.clone();
    for (kj::uint i = 0; i < changes; i++) {
      // Of each fork its own, so that none can be taken for another's.
      block.head = headOf(block.head.seq + 1, nextRandom());
      block.logs.add(HeadLog{block.head.clone(), {blocks.size(), block.hash}, i, false});
    }
    blocks.add(kj::mv(block));
  }

  // Takes the newest `depth` blocks back. The events that are no more, as they are told.
  kj::Vector<HeadLog> takeBack(uint64_t depth) {
    kj::Vector<HeadLog> removed;
    for (uint64_t i = 0; i < depth && blocks.size() > 1; i++) {
      for (auto& log: blocks.back().logs) {
        removed.add(HeadLog{log.head.clone(), log.block, log.index, true});
      }
      blocks.removeLast();
    }
    return removed;
  }

  uint64_t latest() const { return blocks.size() - 1; }
  BlockRef refAt(uint64_t number) const { return {number, blocks[number].hash}; }
  const StemHead& headAt(uint64_t number) const { return blocks[number].head; }
  kj::ArrayPtr<const HeadLog> logsOf(uint64_t number) const { return blocks[number].logs; }
  kj::Maybe<uint64_t> find(const BlockHash& hash) const {
    for (size_t i = blocks.size(); i-- > 0;) {
      if (blocks[i].hash == hash) return i;
    }
    return nullptr;
  }

 private:
  struct Block {
    BlockHash hash;
    StemHead head;
    kj::Vector<HeadLog> logs;
  };
  kj::Vector<Block> blocks;
  uint64_t state = 1;

  uint64_t nextRandom() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
  }

  static StemHead headOf(uint64_t seq, uint64_t salt) {
    return {seq, kj::heapArray<const kj::byte>(kj::str("head ", seq, ' ', salt).asBytes())};
  }
};

class SimReader final: public ChainReader {
 public:
  SimReader(SimChain& chain, kj::StringPtr name, kj::Timer& timer)
      : chain(&chain), name(name), timer(timer) {}

  SimChain* chain;
  uint64_t lag = 0;                        // blocks behind
  kj::Maybe<uint64_t> frozenAt;            // its latest block, from now on
  kj::Maybe<uint64_t> finalAt;             // its final block, likewise: of the chain, or made up
  kj::uint failures = 0;                   // of the next calls
  bool isSilent = false;                   // no call is answered in time
  bool hasContract = true;
  uint64_t id = SimChain::ID;
  kj::Maybe<kj::String> lacks;             // of finality
  bool forgesFinalHash = false;            // of its view, not of its vote
  bool forgesHash = false;                 // of any block that it is asked about
  bool isPruned = false;                   // it gives no head of any block
  kj::Maybe<StemHead> forgedHead;          // said of every block
  bool hidesLogs = false;
  kj::Maybe<uint64_t> statesKept;          // of blocks below its latest, whose heads it gives
  bool pushes = true;                      // else it has to be asked for what is not final yet
  kj::uint slowness = 0;                   // events more, before a call is answered
  kj::Duration delay = 0 * kj::SECONDS;    // likewise, of each call; a view is two
  kj::Maybe<kj::ForkedPromise<void>> viewsAfter;   // no view is answered before
  kj::Maybe<kj::ForkedPromise<void>> blocksAfter;  // nor which block is at a height
  kj::Maybe<kj::ForkedPromise<void>> logsAfter;    // nor which events there were
  kj::Maybe<kj::ForkedPromise<void>> newestAfter;  // nor the head at its latest block
  kj::uint calls = 0;

  void push(kj::Maybe<HeadLog> hint) {
    hints.add(kj::mv(hint));
    if (waiting.get() != nullptr) waiting->fulfill();
  }
  void dropPushes() {
    hints.clear();
    isLost = true;
    if (waiting.get() != nullptr) waiting->fulfill();
  }

  kj::StringPtr getName() const override { return name; }

  kj::Promise<uint64_t> chainId() override {
    return answer([this]() { return id; });
  }

  kj::Promise<kj::OneOf<ChainView, NotOffered>> view(const Finality& asked) override {
    auto finality = asked;
    co_await opened(viewsAfter);
    if (delay > 0 * kj::SECONDS) co_await timer.afterDelay(delay);
    co_return co_await answer([this, finality]() -> kj::OneOf<ChainView, NotOffered> {
      KJ_IF_MAYBE(what, lacks) return NotOffered{kj::str(*what)};
      ChainView view{chain->refAt(latest()), nullptr};
      if (latest() >= finality.depth) view.final = chain->refAt(latest() - finality.depth);
      KJ_IF_MAYBE(number, finalAt) {
        bool isMadeUp = *number > chain->latest();
        view.final = isMadeUp ? BlockRef{*number, {}} : chain->refAt(*number);
        if (*number > view.latest.number) view.latest = KJ_ASSERT_NONNULL(view.final);
      }
      KJ_IF_MAYBE(block, view.final) {
        if (forgesFinalHash) block->hash.bytes.fill(9);
      }
      return kj::mv(view);
    });
  }

  kj::Promise<kj::Maybe<BlockHash>> blockAt(uint64_t number) override {
    co_await opened(blocksAfter);
    co_return co_await answer([this, number]() -> kj::Maybe<BlockHash> {
      if (number > latest()) return nullptr;
      auto hash = chain->refAt(number).hash;
      if (forgesHash) hash.bytes.fill(8);
      return hash;
    });
  }

  kj::Promise<kj::Maybe<StemHead>> headAt(const BlockHash& asked) override {
    auto hash = asked;
    if (hash == chain->refAt(latest()).hash) co_await opened(newestAfter);
    co_return co_await answer([this, hash]() -> kj::Maybe<StemHead> {
      auto number = chain->find(hash);
      if (number == nullptr) kj::throwFatalException(badInput("there is no such block"));
      auto depth = latest() - kj::min(latest(), KJ_ASSERT_NONNULL(number));
      if (depth > statesKept.orDefault(kj::maxValue)) {
        kj::throwFatalException(badInput("missing trie node"));
      }
      if (isPruned) kj::throwFatalException(badInput("header not found"));
      if (!hasContract) return nullptr;
      KJ_IF_MAYBE(forged, forgedHead) return forged->clone();
      return chain->headAt(KJ_ASSERT_NONNULL(number)).clone();
    });
  }

  kj::Promise<kj::Array<HeadLog>> logs(uint64_t from, uint64_t to) override {
    co_await opened(logsAfter);
    co_return co_await answer([this, from, to]() {
      kj::Vector<HeadLog> found;
      for (auto i = from; i <= to && i <= latest() && !hidesLogs; i++) {
        for (auto& log: chain->logsOf(i)) {
          found.add(HeadLog{log.head.clone(), log.block, log.index, false});
        }
      }
      return found.releaseAsArray();
    });
  }

  bool canPush() const override { return pushes; }

  kj::Promise<kj::Maybe<HeadLog>> nextHint() override {
    if (isLost) {
      isLost = false;
      return badInput("the connection is lost");
    }
    if (hints.size() > 0) {
      auto first = kj::mv(hints.front());
      kj::Vector<kj::Maybe<HeadLog>> others;
      for (size_t i = 1; i < hints.size(); i++) others.add(kj::mv(hints[i]));
      hints = kj::mv(others);
      return kj::mv(first);
    }
    auto paf = kj::newPromiseAndFulfiller<void>();
    waiting = kj::mv(paf.fulfiller);
    return paf.promise.then([this]() { return nextHint(); });
  }

 private:
  const kj::StringPtr name;
  kj::Timer& timer;
  kj::Vector<kj::Maybe<HeadLog>> hints;
  bool isLost = false;
  kj::Own<kj::PromiseFulfiller<void>> waiting;

  uint64_t latest() const {
    KJ_IF_MAYBE(number, frozenAt) return kj::min(*number, chain->latest());
    return chain->latest() - kj::min(lag, chain->latest());
  }

  static kj::Promise<void> opened(kj::Maybe<kj::ForkedPromise<void>>& gate) {
    KJ_IF_MAYBE(g, gate) return g->addBranch();
    return kj::READY_NOW;
  }

  kj::Promise<void> wait() {
    if (delay > 0 * kj::SECONDS) co_await timer.afterDelay(delay);
    auto events = slowness;
    for (kj::uint i = 0; i <= events; i++) co_await kj::evalLater([]() {});
  }

  // An event later, as of then: a call takes its time.
  template <typename Code>
  auto answer(Code code) -> kj::Promise<decltype(code())> {
    ++calls;
    if (isSilent) {
      return timer.afterDelay(10 * kj::SECONDS).then([]() -> decltype(code()) {
        kj::throwFatalException(badInput("no answer within 10s"));
      });
    }
    return wait().then([this, code = kj::mv(code)]() mutable -> decltype(code()) {
      if (failures > 0) {
        --failures;
        kj::throwFatalException(badInput("it fails, as it was told to"));
      }
      return code();
    });
  }
};

}  // namespace ww
