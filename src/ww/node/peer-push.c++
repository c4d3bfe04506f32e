#include <ww/node/peer-push.h>

#include <string.h>
#include <ww/base/error.h>

namespace ww {
namespace {

// The epoch may move between a graft and its use.
constexpr kj::uint TRIES = 3;

// At how far the node has come, while it is waited for.
constexpr kj::uint LOOKS = 6;

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
  auto node = session.getNode();
  auto request = node.keepImageRequest();
  request.setCid(root.getBytes());
  auto keeping = request.send().then([](auto&& answer) {
    return Kept{answer.getBlocks(), answer.getBytes()};
  });
  co_return co_await keeping.exclusiveJoin(watch(kj::mv(node)));
}

// Never resolves.
kj::Promise<PeerPush::Kept> PeerPush::watch(node::Node::Client node) {
  for (uint64_t last = 0;;) {
    co_await timer.afterDelay(patience / LOOKS);
    auto steps = co_await node.keepingRequest().send().then(
        [](auto&& answer) -> uint64_t { return answer.getSteps(); },
        [last](kj::Exception&&) { return last; });
    if (steps != last) moved = timer.now();
    last = steps;
  }
}

// Never resolves.
kj::Promise<PeerPush::Kept> PeerPush::untilSilent() {
  for (;;) {
    auto end = moved + patience;
    if (timer.now() >= end) {
      kj::throwFatalException(badInput(kj::str("the node ", bytes == 0
          ? kj::str("asked for no block of the image") : kj::str("took ", bytes, " bytes"),
          ", and then neither took anything nor got on with it for ", patience)));
    }
    co_await timer.atTime(end);
  }
}

}  // namespace ww
