#include <ww/link/stall-watch.h>

#include <ww/base/error.h>

namespace ww {

StallWatch::StallWatch(kj::Timer& timer, kj::Duration patience,
                       kj::Function<void(kj::Exception&&)> onStall)
    : timer(timer), patience(patience), onStall(kj::mv(onStall)) {}

void StallWatch::onRead(const ReadProgress& progress) {
  now = progress;
  if (!now.isMidMessage || isWatching) return;
  isWatching = true;
  watching = watch().eagerlyEvaluate(nullptr);
}

kj::Promise<void> StallWatch::watch() {
  const uint64_t least = kj::max(LEAST_RATE * (patience / kj::SECONDS), uint64_t(1));
  while (now.isMidMessage) {
    auto before = now;
    co_await timer.afterDelay(patience);
    auto came = now.bytes - before.bytes;
    if (!now.isMidMessage || now.messages != before.messages || came >= least) continue;
    onStall(overloaded(kj::str("stalled: ", came, " bytes of a message that was begun came in ",
                               patience, "; the link's least is ", least)));
    co_return;  // and never watches again
  }
  isWatching = false;
}

}  // namespace ww
