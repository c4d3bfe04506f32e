#include <ww/link/stall-watch.h>

#include <ww/base/error.h>

namespace ww {

StallWatch::StallWatch(kj::Timer& timer, kj::Duration patience,
                       kj::Function<void(kj::Exception&&)> onStall)
    : timer(timer), patience(patience), onStall(kj::mv(onStall)) {}

void StallWatch::onRead(bool midMessage) {
  ++reads;
  isMid = midMessage;
  if (!isMid || isWatching) return;
  isWatching = true;
  watching = watch().eagerlyEvaluate(nullptr);
}

kj::Promise<void> StallWatch::watch() {
  while (isMid) {
    auto before = reads;
    co_await timer.afterDelay(patience);
    if (!isMid || reads != before) continue;
    onStall(overloaded(kj::str("stalled: nothing of a message that was begun came for ",
                               patience)));
    co_return;  // and never watches again
  }
  isWatching = false;
}

}  // namespace ww
