#include <ww/node/epoch-images.h>

#include <kj/debug.h>

namespace ww {

EpochImages::EpochImages(Parts given)
    : parts(given), reached(parts.heads.seq()), nextAhead(parts.timer.now()),
      fetching(beginFetch()) {
  parts.gate.requireImages([this]() {
    return findProblem().orDefault(kj::str("the epoch's image is started"));
  });
}

EpochImages::~EpochImages() noexcept(false) {
  parts.gate.requireImages([]() { return kj::str("the node ends"); });
}

kj::Maybe<kj::String> EpochImages::findProblem() const {
  auto seq = parts.heads.seq();
  auto now = seq == reached ? phase : FETCHING;
  switch (now) {
    case RUNNING: return nullptr;
    case UNFIT: return kj::str("the image of epoch ", seq, " cannot be run: ", unfit);
    case STARTING: return kj::str("the image of epoch ", seq, " is started");
    case ENDING_OLD: return kj::str("the image of the epoch before ", seq, " has yet to end");
    case FETCHING: break;
  }
  if (seq == reached) {
    KJ_IF_MAYBE(why, fetching->problem) {
      return kj::str("the image of epoch ", seq, " cannot be had, and is tried again: ", *why);
    }
  }
  return kj::str("the image of epoch ", seq, " is fetched");
}

kj::Promise<int> EpochImages::run() {
  auto preparing = prepare().eagerlyEvaluate([this](kj::Exception&& e) {
    parts.logger.log(LogLevel::ERROR, "images are fetched no longer ahead of their epochs",
                     {{"cause", kj::str(e.getDescription())}});
  });
  for (;;) {
    auto seq = reached;
    auto moved = parts.heads.onAdvance(seq).then([]() -> kj::Maybe<int> { return nullptr; });
    auto ended = runEpoch(seq).then([](int code) -> kj::Maybe<int> { return code; });
    auto outcome = co_await ended.exclusiveJoin(kj::mv(moved));
    // Its own end may come of the epoch's, which is not for it to answer for.
    if (parts.heads.seq() == seq) {
      KJ_IF_MAYBE(code, outcome) co_return *code;
    }
    retire();
    reached = parts.heads.seq();
    phase = FETCHING;
    fetching = beginFetch();
  }
}

// Is dropped once the head has moved, which may be some turns later: what counts for its epoch
// alone is asked for anew after each wait.
kj::Promise<int> EpochImages::runEpoch(uint64_t seq) {
  kj::Maybe<EpochImage> image;
  kj::Maybe<kj::Exception> failure;
  auto fail = [&](kj::Exception&& e) { failure = kj::mv(e); };
  co_await fetching->image.then([&](EpochImage&& had) { image = kj::mv(had); }, fail);
  KJ_IF_MAYBE(e, failure) co_await waitForNext(seq, kj::mv(*e));
  phase = ENDING_OLD;
  co_await retired.addBranch();
  // Without any authority there is nothing to run it for.
  bool isOver = parts.heads.findClosed() != nullptr || parts.heads.seq() != seq;
  if (isOver) co_await kj::Promise<void>(kj::NEVER_DONE);
  phase = STARTING;
  parts.gate.setImageReady(seq);
  co_await kj::evalNow([&]() { return parts.starter.start(kj::mv(KJ_ASSERT_NONNULL(image))); })
      .then([&](kj::Own<RunningPid0>&& started) { pid0 = kj::mv(started); }, fail);
  if (parts.heads.seq() != seq) co_await kj::Promise<void>(kj::NEVER_DONE);
  KJ_IF_MAYBE(e, failure) co_await waitForNext(seq, kj::mv(*e));
  phase = RUNNING;
  parts.logger.log(LogLevel::INFO, "the image of this epoch runs", {{"epoch", kj::str(seq)}});
  co_return co_await KJ_ASSERT_NONNULL(pid0)->onEnd();
}

kj::Promise<void> EpochImages::waitForNext(uint64_t seq, kj::Exception why) {
  unfit = kj::str(why.getDescription());
  phase = UNFIT;
  parts.logger.log(LogLevel::ERROR, "this epoch's image cannot be run; the next is waited for",
                   {{"epoch", kj::str(seq)}, {"cause", kj::str(unfit)}});
  return kj::NEVER_DONE;
}

kj::Own<EpochImages::Fetching> EpochImages::beginFetch() {
  auto result = kj::heap<Fetching>();
  auto head = kj::heapArray<const kj::byte>(parts.heads.epoch().head);
  result->image = untilHad<EpochImage>(result->problem, [this, head = kj::mv(head)]() {
    return parts.fetcher.fetch(head);
  }).attach(takeAhead()).eagerlyEvaluate(nullptr);
  return result;
}

template <typename T>
kj::Promise<T> EpochImages::untilHad(kj::Maybe<kj::String>& problem,
                                     kj::Function<kj::Promise<T>()> begin) {
  for (auto wait = FIRST_RETRY;; wait = kj::min(wait * 2, LAST_RETRY)) {
    kj::Maybe<T> result;
    kj::Maybe<kj::Exception> failure;
    co_await kj::evalNow([&]() { return begin(); })
        .then([&](T&& had) { result = kj::mv(had); },
              [&](kj::Exception&& e) { failure = kj::mv(e); });
    KJ_IF_MAYBE(had, result) {
      problem = nullptr;
      co_return kj::mv(*had);
    }
    auto& why = KJ_ASSERT_NONNULL(failure);
    if (isContentProblem(why)) kj::throwFatalException(kj::mv(why));
    auto before = problem.map([](const kj::String& text) { return text.asPtr(); });
    if (before.orDefault(nullptr) != why.getDescription()) {
      parts.logger.log(LogLevel::WARNING, "an image cannot be had; it is tried again",
                       {{"cause", kj::str(why.getDescription())}});
    }
    problem = kj::str(why.getDescription());
    co_await parts.timer.afterDelay(wait);
  }
}

// ---- What was -----------------------------------------------------------------------------------

void EpochImages::retire() {
  KJ_IF_MAYBE(old, pid0) {
    retired = kj::joinPromises(kj::arr(retired.addBranch(), endPid0(kj::mv(*old)))).fork();
    pid0 = nullptr;
  }
}

kj::Promise<void> EpochImages::endPid0(kj::Own<RunningPid0> old) {
  auto inTime = old->onEnd().then([](int) { return true; }, [](kj::Exception&&) { return true; });
  auto late = parts.timer.afterDelay(parts.grace).then([]() { return false; });
  if (co_await inTime.exclusiveJoin(kj::mv(late))) co_return;
  old->end();
  auto drained = old->onEnd().then([](int) {}, [](kj::Exception&&) {});
  co_await drained.exclusiveJoin(parts.timer.afterDelay(DRAIN_PATIENCE));
}

// ---- What comes --------------------------------------------------------------------------------

kj::Promise<void> EpochImages::prepare() {
  for (;;) {
    auto next = parts.pending.onPending();
    auto head = parts.pending.findPending();
    KJ_IF_MAYBE(seen, head) {
      if (*seen == parts.heads.epoch().head) head = nullptr;
    }
    KJ_IF_MAYBE(own, ahead) {
      bool isSeen = head.map([&](auto& seen) { return seen == (*own)->head; }).orDefault(false);
      if (isSeen) head = nullptr;
      else ahead = nullptr;
    }
    KJ_IF_MAYBE(wanted, head) {
      if (parts.timer.now() < nextAhead) {
        next = next.exclusiveJoin(parts.timer.atTime(nextAhead));
      } else {
        ahead = beginAhead(kj::mv(*wanted));
        nextAhead = parts.timer.now() + pause;
        pause = kj::min(pause * 2, LAST_PAUSE);
      }
    }
    co_await next;
  }
}

kj::Own<EpochImages::Ahead> EpochImages::beginAhead(kj::Array<const kj::byte> head) {
  auto result = kj::heap<Ahead>();
  auto& own = *result;
  own.head = kj::mv(head);
  own.fetched = untilHad<kj::Own<void>>(own.problem, [this, &own]() {
    return parts.fetcher.prefetch(own.head);
  }).then([this, &own](kj::Own<void>&& had) {
    own.had = kj::mv(had);
    parts.logger.log(LogLevel::INFO, "an image is here ahead of its epoch");
  }).eagerlyEvaluate([this](kj::Exception&& e) {
    parts.logger.log(LogLevel::WARNING, "the head that is seen next names no image",
                     {{"cause", kj::str(e.getDescription())}});
  });
  return result;
}

// The epoch has begun. What of it is here stays so until it was walked; what is of a head that is
// no longer expected goes.
kj::Maybe<kj::Own<void>> EpochImages::takeAhead() {
  kj::Maybe<kj::Own<void>> had;
  KJ_IF_MAYBE(own, ahead) {
    auto is = [&](kj::ArrayPtr<const kj::byte> head) { return (*own)->head.asPtr() == head; };
    auto seen = parts.pending.findPending();
    if (is(parts.heads.epoch().head)) {
      had = kj::mv((*own)->had);
      pause = FIRST_PAUSE;
      ahead = nullptr;
    } else if (!seen.map([&](auto& head) { return is(head); }).orDefault(false)) {
      ahead = nullptr;
    }
  }
  return had;
}

}  // namespace ww
