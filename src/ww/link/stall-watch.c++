#include <ww/link/stall-watch.h>

#include <ww/base/error.h>

namespace ww {

StallWatch::StallWatch(kj::Timer& timer, kj::Duration patience,
                       kj::Function<void(kj::Exception&&)> onStall)
    : timer(timer), patience(patience), onStall(kj::mv(onStall)) {}

void StallWatch::onRead(const ReadProgress& progress) {
  now = progress;
  if (now.unfinished == 0 || isWatching) return;
  isWatching = true;
  watching = watch().eagerlyEvaluate(nullptr);
}

uint64_t StallWatch::leastWith(uint64_t held) const {
  auto rate = kj::max(LEAST_RATE, held / (DOUBLING / kj::SECONDS));
  return kj::max(rate * (patience / kj::MILLISECONDS) / 1000, uint64_t(1));
}

kj::Promise<void> StallWatch::watch() {
  while (now.unfinished > 0) {
    auto before = now;
    auto least = leastWith(before.unfinished);
    co_await timer.afterDelay(patience);
    auto came = now.bytes - before.bytes;
    if (now.unfinished == 0 || now.messages != before.messages || came >= least) continue;
    onStall(overloaded(kj::str("stalled: ", came, " bytes of a message that was begun came in ",
                               patience, "; the link's least is ", least)));
    co_return;  // and never watches again
  }
  isWatching = false;
}

}  // namespace ww
