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

void PeerPush::sent(const Cid& cid, size_t more) {
  bytes += more;
  moved = timer.now();
  uint64_t key = 0;
  auto name = cid.getBytes();
  memcpy(&key, name.end() - kj::min(sizeof(key), name.size()), kj::min(sizeof(key), name.size()));
  bool isNew = true;
  given.upsert(key, [&](uint64_t&, uint64_t&&) { isNew = false; });
  again = isNew ? 0 : again + 1;
  if (again < MAX_AGAIN || enough.get() == nullptr) return;
  enough->reject(badInput(kj::str("the node asked ", again, " times in a row for what it was given "
      "before, and for nothing else: it does not keep what it is sent; see what its log says, and "
      "to its disk, or push to another node")));
}

kj::Promise<PeerPush::Kept> PeerPush::push(NodeClient& client, const Cid& root, uint64_t steps) {
  bytes = 0;
  again = 0;
  given.clear();
  moved = timer.now();
  auto tooMuch = kj::newPromiseAndFulfiller<Kept>();
  enough = kj::mv(tooMuch.fulfiller);
  return client.untilGone(keepThere(client, root, steps)).exclusiveJoin(untilSilent())
      .exclusiveJoin(kj::mv(tooMuch.promise));
}

kj::Promise<PeerPush::Kept> PeerPush::keepThere(NodeClient& client, const Cid& root,
                                                uint64_t steps) {
  for (kj::uint tries = 1;; tries++) {
    bool isStale = false;
    auto kept = co_await askOnce(client, root, steps).catch_([&](kj::Exception&& e) {
      isStale = strstr(e.getDescription().cStr(), "staleEpoch:") != nullptr;
      if (!isStale) kj::throwFatalException(kj::mv(e));
      if (tries == TRIES) {
        kj::throwFatalException(kj::Exception(e.getType(), e.getFile(), e.getLine(), kj::str(
            e.getDescription(), " (the epoch of that node moved ", TRIES,
            " times meanwhile: push again)")));
      }
      return Kept{};
    });
    if (!isStale) co_return kept;
  }
}

kj::Promise<PeerPush::Kept> PeerPush::askOnce(NodeClient& client, const Cid& root,
                                              uint64_t steps) {
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
  co_return co_await keeping.exclusiveJoin(watch(kj::mv(node), steps));
}

// Never resolves.
kj::Promise<PeerPush::Kept> PeerPush::watch(node::Node::Client node, uint64_t steps) {
  for (uint64_t last = 0;;) {
    co_await timer.afterDelay(patience / LOOKS);
    auto now = co_await node.keepingRequest().send().then(
        [](auto&& answer) -> uint64_t { return answer.getSteps(); },
        [last](kj::Exception&&) { return last; });
    if (now != last && steps > 0) {
      --steps;
      moved = timer.now();
    }
    last = now;
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
