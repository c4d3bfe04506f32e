#pragma once
// A node's clients: links from outside, each with a Membrane of its own. The owner's need no
// signer; all others graft by a key, and until they have, a link of theirs is held to little. One
// that has no session any more has to graft again in time.
//
// A session ends with its link, and its cells a grace later, but for those that were detached.
//
// One event loop. Links end with it.

#include <ww/net/swarm.h>
#include <ww/node/node.h>

namespace ww {

constexpr kj::StringPtr RPC_PROTOCOL = "/ww/rpc/0.1.0"_kj;

struct ClientLimits {
  kj::uint ungrafted = 64;      // links that have not grafted yet
  kj::uint ungraftedOfPeer = 2;
  kj::uint linksOfKey = 8;  // that have grafted by it
  kj::Duration toGraft = 10 * kj::SECONDS;  // then a link is ended

  // Streams of peers that have ungraftedOfPeer already: they are not read before it is their turn,
  // within toGraft.
  kj::uint queued = 64;
  kj::uint queuedOfPeer = 16;

  // Before the first graft.
  LinkLimits first = beforeGraft();
  LinkLimits after = afterGraft();

  // For what a peer has not read when its link is over for another reason.
  kj::Duration toFlush = 5 * kj::SECONDS;

  static LinkLimits beforeGraft();
  static LinkLimits afterGraft();
};

class ClientLinks final: private kj::TaskSet::ErrorHandler {
 public:
  // References outlive it, and the node's gate is closed before `policy` goes. `swarm` is where
  // peers come from: those that have grafted keep their connections there.
  ClientLinks(Node& node, Swarm& swarm, GraftPolicy& policy, kj::Timer& timer, Logger& logger,
              ClientLimits limits = {});
  ~ClientLinks() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(ClientLinks);

  void serveOwner(kj::Own<kj::AsyncIoStream> stream);

  // From a peer that proved its id. It has to wait where that peer has too many already that have
  // not grafted. Above the limit of all, of links as of those that wait, the oldest of the address
  // that has most makes room.
  void servePeer(PeerStream peer);

  size_t count() const { return links; }
  size_t ungraftedCount() const { return waiting.size(); }
  size_t queuedCount() const { return queue.size(); }

 private:
  class Link;
  struct Queued;
  class Tally;

  void begin(PeerStream peer);
  kj::Promise<void> enqueue(PeerStream peer);
  kj::Promise<void> run(kj::Own<Link> link);
  void nextTurn(kj::StringPtr peer);
  void taskFailed(kj::Exception&& exception) override;

  Node& node;
  Swarm& swarm;
  GraftPolicy& policy;
  OpenGraftPolicy openPolicy;
  kj::Timer& timer;
  Logger& logger;
  const ClientLimits limits;
  size_t links = 0;
  kj::Own<Tally> ungrafted;   // links, by peer id
  kj::Own<Tally> grafted;     // likewise, by key
  kj::Vector<Link*> waiting;          // those that have not grafted, by age
  kj::Vector<Queued*> queue;          // likewise
  kj::TaskSet tasks;
};

}  // namespace ww
