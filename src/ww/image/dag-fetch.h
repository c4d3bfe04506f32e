#pragma once
// Blocks with all that is below them in one answer, from sources that give those: one such answer
// at a time, whose blocks go into the store as they come, and those who wait for one are told of
// it.
//
// Where an answer has what it should not, or a source says that it gives none, the source is named
// in the log, and is asked for single blocks from then on; where it just gives none now, or not to
// the end, for this one, up to MAX_CUT times. For the files of this room only; lives on one event
// loop.

#include <ww/image/wanted-dag.h>

namespace ww {

class DagFetch final {
 public:
  // Answers of one source that were not read to their end: since the store had much of them, or
  // since they did not begin, or were cut off.
  static constexpr kj::uint MAX_CUT = 16;

  // Both outlive it.
  DagFetch(BlockStore& store, Logger& logger): store(store), logger(logger) {}
  KJ_DISALLOW_COPY_AND_MOVE(DagFetch);

  // The block, with which all below it is on its way; or nothing where that source does not bring
  // it so. Waits for the answer that comes, if one does: it may have it. Rejects where the store
  // does. `reasons` is told why nothing. All outlive the promise.
  kj::Promise<kj::Maybe<kj::Array<const kj::byte>>> fetch(BlockSource& source, const Cid& cid,
                                                          kj::Vector<kj::String>& reasons);

  // What comes, if anything does, has brought the block, or will not.
  kj::Promise<void> arrival(const Cid& cid);
  bool isRunning() const { return running; }

  // Once: how the source's answer came too late, if one did.
  kj::Maybe<kj::Exception> takeLate(BlockSource& source) { return kj::mv(of(source).late); }

 private:
  struct Waiter {
    Cid cid;
    kj::Own<kj::PromiseFulfiller<void>> fulfiller;
  };
  struct Source {
    kj::uint triesLeft = MAX_CUT;
    kj::Maybe<kj::Exception> late;
  };
  kj::Promise<void> run(BlockSource& source, Cid root);
  void told(const Cid& cid);
  void end(BlockSource& source, const WantedDag& wanted, kj::Maybe<kj::Exception> failure);
  void failed(BlockSource& source, bool isEnough, const kj::Exception& exception);
  Source& of(BlockSource& source);

  BlockStore& store;
  Logger& logger;
  CarLimits left;                         // of all answers
  kj::HashMap<BlockSource*, Source> sources;
  kj::Vector<Waiter> waiters;
  kj::String lastFailure;
  kj::Maybe<kj::Exception> storeFailure;  // that nobody has been told of
  bool running = false;
  kj::Promise<void> task = kj::READY_NOW;
};

}  // namespace ww
