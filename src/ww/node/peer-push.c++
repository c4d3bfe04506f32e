#include <ww/node/peer-push.h>

#include <string.h>
#include <ww/base/error.h>

namespace ww {
namespace {

// The epoch may move between a graft and its use.
constexpr kj::uint TRIES = 3;

}  // namespace

void PeerPush::sent(size_t more) {
  bytes += more;
  moved = timer.now();
}

kj::Promise<PeerPush::Kept> PeerPush::push(NodeClient& client, const Cid& root) {
  bytes = 0;
  moved = timer.now();
  return client.untilGone(keepThere(client, root)).exclusiveJoin(untilSilent());
}

kj::Promise<PeerPush::Kept> PeerPush::keepThere(NodeClient& client, const Cid& root) {
  for (kj::uint tries = 1;; tries++) {
    bool isStale = false;
    auto kept = co_await askOnce(client, root).catch_([&](kj::Exception&& e) {
      isStale = strstr(e.getDescription().cStr(), "staleEpoch:") != nullptr;
      if (!isStale || tries == TRIES) kj::throwFatalException(kj::mv(e));
      return Kept{};
    });
    if (!isStale) co_return kept;
  }
}

kj::Promise<PeerPush::Kept> PeerPush::askOnce(NodeClient& client, const Cid& root) {
  auto graft = co_await client.graftRequest().send();
  moved = timer.now();
  auto session = graft.getSession().getExtension();
  if (!session.hasNode()) {
    kj::throwFatalException(denied("to have a node keep an image takes the right to the node "
                                   "itself; its operator gives it with --allow KEY,node"));
  }
  auto request = session.getNode().keepImageRequest();
  request.setCid(root.getBytes());
  auto answer = co_await request.send();
  co_return Kept{answer.getBlocks(), answer.getBytes()};
}

// Never resolves.
kj::Promise<PeerPush::Kept> PeerPush::untilSilent() {
  for (;;) {
    auto end = moved + patience;
    if (timer.now() >= end) {
      kj::throwFatalException(badInput(kj::str("the node ", bytes == 0
          ? kj::str("asked for no block of the image") : kj::str("took ", bytes, " bytes"),
          ", and then neither took nor said anything for ", patience)));
    }
    co_await timer.atTime(end);
  }
}

}  // namespace ww
