#pragma once
// The head is the image: each epoch boots what its head names, as its pid0.
//
// A head's tree is fetched and verified as soon as the head is seen, be it final or not. When it is
// final the epoch begins, whether or not its tree can be had: HeadWatch ends the authority of the
// one before, and until this has the tree, and the old pid0 is gone, all grafts fail with
// `epochPending:`. The old pid0 gets the grace to end by itself; it is in no epoch that its image
// was not made for. A fetch that fails is tried again, later and later, and nothing else is run
// meanwhile.
//
//   head is final ──► old sessions end ──► old pid0 gets the grace ──► it is ended ──┐
//   head is seen  ──► its tree is fetched, verified ─────────────────────────────────┴─► pid0
//
// Where an epoch's image cannot be run, the node waits for the next head. Where pid0 ends by itself
// within its epoch, run() resolves. Lives on one event loop. Tests: epoch-images-test.c++.

#include <kj/timer.h>
#include <ww/base/log.h>
#include <ww/epoch/head-watch.h>
#include <ww/epoch/pending-heads.h>
#include <ww/membrane/membrane-server.h>
#include <ww/node/tree-folder.h>

namespace ww {

// What is booted, verified and whole.
struct EpochImage {
  kj::Array<const kj::byte> wasm;                 // its component
  kj::Maybe<kj::Own<MergedTree>> tree = nullptr;  // for who starts it
};

class ImageFetcher {
 public:
  virtual ~ImageFetcher() noexcept(false) {}

  // What a head names. Rejects with the reason, for a person, where that is nothing, or cannot be
  // had. Dropping the promise gives it up; any number at a time.
  virtual kj::Promise<EpochImage> fetch(kj::ArrayPtr<const kj::byte> head) = 0;
};

// A first cell that runs; ended with this.
class RunningPid0 {
 public:
  virtual ~RunningPid0() noexcept(false) {}

  // Its exit code, once what it wrote is passed on. For any number of callers.
  virtual kj::Promise<int> onEnd() = 0;

  virtual void end() = 0;
};

class Pid0Starter {
 public:
  virtual ~Pid0Starter() noexcept(false) {}

  // Rejects where it cannot be run. Dropping the promise ends what was begun.
  virtual kj::Promise<kj::Own<RunningPid0>> start(EpochImage image) = 0;
};

class EpochImages final {
 public:
  static constexpr kj::Duration FIRST_RETRY = 1 * kj::SECONDS;
  static constexpr kj::Duration LAST_RETRY = 1 * kj::MINUTES;  // twice the last wait, up to this
  // For the output of a pid0 that was ended, which nobody may be reading.
  static constexpr kj::Duration DRAIN_PATIENCE = 1 * kj::SECONDS;

  struct Parts {
    HeadWatch& heads;
    GraftGate& gate;
    PendingHeads& pending;
    ImageFetcher& fetcher;
    Pid0Starter& starter;
    kj::Timer& timer;
    Logger& logger;
    kj::Duration grace;
  };

  // References outlive it. From now on grafts wait for the epoch's image.
  explicit EpochImages(Parts parts);
  ~EpochImages() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(EpochImages);

  // Follows the heads. Resolves with the exit code of a pid0 that ended by itself in its own epoch.
  // Once.
  kj::Promise<int> run();

  // Why no pid0 runs in the current epoch, for a person; nothing if one does.
  kj::Maybe<kj::String> findProblem() const;

 private:
  // The tree of one head, on its way.
  struct Fetching {
    kj::Array<const kj::byte> head;
    kj::Maybe<kj::String> problem = nullptr;  // of the last try
    kj::Promise<EpochImage> image = nullptr;
  };

  kj::Promise<int> runEpoch(uint64_t seq);
  kj::Promise<void> prepare();
  kj::Own<Fetching> beginFetch(kj::ArrayPtr<const kj::byte> head);
  kj::Promise<EpochImage> fetchUntilHad(Fetching& own);
  kj::Own<Fetching> takeAhead(kj::ArrayPtr<const kj::byte> head);
  void retire();
  kj::Promise<void> endPid0(kj::Own<RunningPid0> old);
  bool isCurrent(kj::ArrayPtr<const kj::byte> head) const;

  // Of the epoch `reached`. UNFIT: its image does not run, and `unfit` says why.
  enum Phase { FETCHING, ENDING_OLD, STARTING, RUNNING, UNFIT };

  const Parts parts;
  Phase phase = FETCHING;
  uint64_t reached;
  kj::Own<Fetching> fetching;          // of the epoch
  kj::Maybe<kj::Own<Fetching>> ahead;  // of a head that is not final
  kj::String unfit;
  kj::Maybe<kj::Own<RunningPid0>> pid0;
  kj::ForkedPromise<void> retired = kj::Promise<void>(kj::READY_NOW).fork();  // that before is gone
};

}  // namespace ww
