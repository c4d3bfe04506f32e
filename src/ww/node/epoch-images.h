#pragma once
// The head is the image: each epoch boots what its head names, as its pid0.
//
// When a head is final the epoch begins, whether or not its tree can be had: HeadWatch ends the
// authority of the one before, and until this has the tree, and the old pid0 is gone, all grafts
// fail with `epochPending:`. The old pid0 gets the grace to end by itself; it is in no epoch that
// its image was not made for. A fetch that fails is tried again, later and later, and nothing else
// is run meanwhile.
//
//   head is final ──► old sessions end ──► old pid0 gets the grace ──► it is ended ──┐
//                 └─► its tree is fetched, verified ─────────────────────────────────┴─► pid0
//
// Where an epoch's image cannot be run, or is none, the node waits for the next head. Where pid0
// ends by itself within its epoch, run() resolves.
//
// A head that was seen and is not final is somebody's word, and may be a lie. Its blocks are
// fetched ahead as ImageFetcher::prefetch() has it, for one head at a time, the newest; another
// that comes in its place waits, twice as long each time until one came true.
//
// Lives on one event loop. Tests: epoch-images-test.c++.

#include <kj/timer.h>
#include <ww/base/log.h>
#include <ww/epoch/head-watch.h>
#include <ww/epoch/pending-heads.h>
#include <ww/image/refusal.h>
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

  // What a head names. Rejects with the reason, for a person, where it cannot be had, and where it
  // is nothing that can be run: isContentProblem() holds for that. Dropping the promise gives it
  // up; any number at a time.
  virtual kj::Promise<EpochImage> fetch(kj::ArrayPtr<const kj::byte> head) = 0;

  // Has what fetch() would have to wait for, of a head that may never be an epoch's: only as far
  // as there is room that nothing has to go for. It is kept while what this resolves with is held.
  // Rejects likewise.
  virtual kj::Promise<kj::Own<void>> prefetch(kj::ArrayPtr<const kj::byte> head) = 0;
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
  // Between heads that are fetched ahead of their epochs; likewise.
  static constexpr kj::Duration FIRST_PAUSE = 10 * kj::SECONDS;
  static constexpr kj::Duration LAST_PAUSE = 10 * kj::MINUTES;
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
  // The tree of the epoch's head, on its way. Rejects where it is no image.
  struct Fetching {
    kj::Maybe<kj::String> problem = nullptr;  // of the last try
    kj::Promise<EpochImage> image = nullptr;
  };

  // The blocks of a head that is not final, on their way or here.
  struct Ahead {
    kj::Array<const kj::byte> head;
    kj::Maybe<kj::String> problem = nullptr;  // of the last try
    kj::Maybe<kj::Own<void>> had = nullptr;
    kj::Promise<void> fetched = nullptr;
  };

  kj::Promise<int> runEpoch(uint64_t seq);
  kj::Promise<void> waitForNext(uint64_t seq, kj::Exception why);
  kj::Own<Fetching> beginFetch();
  kj::Promise<void> prepare();
  kj::Own<Ahead> beginAhead(kj::Array<const kj::byte> head);
  kj::Maybe<kj::Own<void>> takeAhead();
  template <typename T>
  kj::Promise<T> untilHad(kj::Maybe<kj::String>& problem, kj::Function<kj::Promise<T>()> begin);
  void retire();
  kj::Promise<void> endPid0(kj::Own<RunningPid0> old);

  // Of the epoch `reached`. UNFIT: its image does not run, and `unfit` says why.
  enum Phase { FETCHING, ENDING_OLD, STARTING, RUNNING, UNFIT };

  const Parts parts;
  Phase phase = FETCHING;
  uint64_t reached;
  kj::String unfit;
  kj::Maybe<kj::Own<Ahead>> ahead;
  kj::TimePoint nextAhead;           // none is begun before
  kj::Duration pause = FIRST_PAUSE;  // after the next one
  kj::Own<Fetching> fetching;
  kj::Maybe<kj::Own<RunningPid0>> pid0;
  kj::ForkedPromise<void> retired = kj::Promise<void>(kj::READY_NOW).fork();  // that before is gone
};

}  // namespace ww
