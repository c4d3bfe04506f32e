#include <ww/node/epoch-images.h>

#include <kj/debug.h>
#include <ww/base/error.h>

namespace ww {

EpochImages::EpochImages(Parts given)
    : parts(given), reached(parts.heads.seq()), fetching(beginFetch(parts.heads.epoch().head)) {
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

bool EpochImages::isCurrent(kj::ArrayPtr<const kj::byte> head) const {
  return parts.heads.epoch().head.asPtr() == head;
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
    fetching = takeAhead(parts.heads.epoch().head);
  }
}

kj::Promise<int> EpochImages::runEpoch(uint64_t seq) {
  auto image = co_await fetching->image;
  phase = ENDING_OLD;
  co_await retired.addBranch();
  // Without any authority there is nothing to run it for.
  if (parts.heads.findClosed() != nullptr) co_await kj::Promise<void>(kj::NEVER_DONE);
  phase = STARTING;
  parts.gate.setImageReady(seq);
  kj::Maybe<kj::Exception> failure;
  co_await kj::evalNow([&]() { return parts.starter.start(kj::mv(image)); })
      .then([&](kj::Own<RunningPid0>&& started) { pid0 = kj::mv(started); },
            [&](kj::Exception&& e) { failure = kj::mv(e); });
  KJ_IF_MAYBE(e, failure) {
    unfit = kj::str(e->getDescription());
    phase = UNFIT;
    parts.logger.log(LogLevel::ERROR, "this epoch's image cannot be run; the next is waited for",
                     {{"epoch", kj::str(seq)}, {"cause", kj::str(unfit)}});
    co_await kj::Promise<void>(kj::NEVER_DONE);
  }
  phase = RUNNING;
  parts.logger.log(LogLevel::INFO, "the image of this epoch runs", {{"epoch", kj::str(seq)}});
  co_return co_await KJ_ASSERT_NONNULL(pid0)->onEnd();
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

kj::Own<EpochImages::Fetching> EpochImages::takeAhead(kj::ArrayPtr<const kj::byte> head) {
  KJ_IF_MAYBE(own, ahead) {
    // One that waits to try again would wait on.
    if ((*own)->head.asPtr() == head && (*own)->problem == nullptr) {
      auto result = kj::mv(*own);
      ahead = nullptr;
      return result;
    }
  }
  return beginFetch(head);
}

kj::Promise<void> EpochImages::prepare() {
  for (;;) {
    auto next = parts.pending.onPending();
    KJ_IF_MAYBE(head, parts.pending.findPending()) {
      auto isThisOne = [&](const kj::Own<Fetching>& one) { return one->head == *head; };
      bool isKnown = isCurrent(*head) || ahead.map(isThisOne).orDefault(false);
      if (!isKnown) ahead = beginFetch(*head);
    }
    co_await next;
  }
}

kj::Own<EpochImages::Fetching> EpochImages::beginFetch(kj::ArrayPtr<const kj::byte> head) {
  auto result = kj::heap<Fetching>();
  result->head = kj::heapArray<const kj::byte>(head);
  result->image = fetchUntilHad(*result).eagerlyEvaluate(nullptr);
  return result;
}

kj::Promise<EpochImage> EpochImages::fetchUntilHad(Fetching& own) {
  for (auto wait = FIRST_RETRY;; wait = kj::min(wait * 2, LAST_RETRY)) {
    kj::Maybe<EpochImage> image;
    kj::Maybe<kj::String> why;
    co_await kj::evalNow([&]() { return parts.fetcher.fetch(own.head); })
        .then([&](EpochImage&& had) { image = kj::mv(had); },
              [&](kj::Exception&& e) { why = kj::str(e.getDescription()); });
    KJ_IF_MAYBE(had, image) {
      own.problem = nullptr;
      if (!isCurrent(own.head)) {
        parts.logger.log(LogLevel::INFO, "an image is here ahead of its epoch");
      }
      co_return kj::mv(*had);
    }
    auto reason = kj::mv(KJ_ASSERT_NONNULL(why));
    auto before = own.problem.map([](const kj::String& text) { return text.asPtr(); });
    if (before.orDefault(nullptr) != reason) {
      parts.logger.log(LogLevel::WARNING, "an image cannot be had; it is tried again",
                       {{"cause", kj::str(reason)}});
    }
    own.problem = kj::mv(reason);
    co_await parts.timer.afterDelay(wait);
  }
}

}  // namespace ww
