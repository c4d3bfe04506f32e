#include <ww/base/accept.h>

namespace ww {

kj::Promise<void> acceptAll(kj::ConnectionReceiver& receiver, kj::Timer& timer,
                            kj::Function<void(kj::Own<kj::AsyncIoStream>)> handler) {
  using Accepted = kj::Maybe<kj::Own<kj::AsyncIoStream>>;
  for (;;) {
    auto accepted = co_await kj::evalNow([&]() { return receiver.accept(); }).then(
        [](kj::Own<kj::AsyncIoStream>&& stream) -> Accepted { return kj::mv(stream); },
        [](kj::Exception&&) -> Accepted { return nullptr; });
    KJ_IF_MAYBE(stream, accepted) {
      handler(kj::mv(*stream));
    } else {
      co_await timer.afterDelay(AFTER_FAILED_ACCEPT);
    }
  }
}

}  // namespace ww
