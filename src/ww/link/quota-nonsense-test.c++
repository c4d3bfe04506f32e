#include "nonsense-test.h"
#include "quota-fixture-test.h"

namespace ww {
namespace {

KJ_TEST("messages in any order end their own link at most") {
  kj::uint over = 0;
  for (uint64_t seed = 1; seed <= 2000; seed++) {
    RawPeer peer;
    auto below = [state = seed](uint32_t limit) mutable {
      state = state * 6364136223846793005u + 1442695040888963407u;
      return uint32_t(state >> 33) % limit;
    };
    uint64_t interfaces[] = {capnp::typeId<Host>()};
    Nonsense nonsense(below, interfaces);
    auto end = kj::runCatchingExceptions([&]() {
      peer.bootstrap();
      auto count = 1 + below(40);
      for (kj::uint i = 0; i < count; i++) {
        peer.send([&](Message::Builder m, uint32_t id) { nonsense.fill(m, id); });
        if (i == count / 2) peer.open();
        if (below(3) == 0) peer.waitScope.poll();
      }
    });
    peer.waitScope.poll();
    over += peer.isOver();
    peer.link = nullptr;
    peer.waitScope.poll();  // what it leaves to the loop
  }
  KJ_EXPECT(over > 100 && over < 2000, over);
  Peer peer;
  peer.open();
  call(peer.host).wait(peer.waitScope);
}

}  // namespace
}  // namespace ww
