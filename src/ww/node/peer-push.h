#pragma once
// An image goes to one node: `ww push --to PEER`. The node is told to keep it (Node.keepImage),
// which takes a key that it allows with the right to the node itself. It fetches it as it does any
// image, by bitswap from the pushing process first (OfferedImages): so it takes no more than it
// lacks, and checks each block.
//
// Lives on one event loop. Tests: peer-push-test.c++; tests/e2e/push_test.py has real nodes.

#include <kj/map.h>
#include <kj/timer.h>
#include <ww/image/cid.h>
#include <ww/node/client.h>

namespace ww {

class PeerPush final {
 public:
  struct Kept {
    uint64_t blocks = 0, bytes = 0;  // of the image, there
  };

  // So often in a row the node may be given blocks that it was given before. One that is late is
  // asked for again, up to four times, of three at once; and where the epoch moves meanwhile the
  // node begins anew.
  static constexpr kj::uint MAX_AGAIN = 64;

  // `patience`: so long the node may take nothing and not get on: it is asked now and then how far
  // it has come. The timer outlives it.
  PeerPush(kj::Timer& timer, kj::Duration patience): timer(timer), patience(patience) {}
  KJ_DISALLOW_COPY_AND_MOVE(PeerPush);

  // Resolves once all of the image is on that node's disk, and pinned. Rejects with what it said
  // instead, if it said anything in time. `steps`: so often may it have got on with what it need
  // not take from here, which is as often as anybody does who reads all of the image. So it ends,
  // whatever the node says. Client and root outlive the promise. Once at a time.
  kj::Promise<Kept> push(NodeClient& client, const Cid& root, uint64_t steps);

  // A block went there.
  void sent(const Cid& cid, size_t bytes);

  uint64_t getSent() const { return bytes; }

 private:
  kj::Promise<Kept> keepThere(NodeClient& client, const Cid& root, uint64_t steps);
  kj::Promise<Kept> askOnce(NodeClient& client, const Cid& root, uint64_t steps);
  kj::Promise<Kept> watch(node::Node::Client node, uint64_t steps);
  kj::Promise<Kept> untilSilent();

  kj::Timer& timer;
  const kj::Duration patience;
  kj::TimePoint moved = kj::origin<kj::TimePoint>();  // when something was taken, or it got on
  uint64_t bytes = 0;
  kj::HashSet<uint64_t> given;  // blocks, by the end of their hashes
  kj::uint again = 0;           // in a row
  kj::Own<kj::PromiseFulfiller<Kept>> enough;
};

}  // namespace ww
