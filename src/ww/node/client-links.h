#pragma once
// A node's clients: links from outside, each with a Membrane of its own. The owner's need no
// signer; all others graft by a key, and until they have, a link of theirs is held to little.
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
  kj::Duration toGraft = 10 * kj::SECONDS;  // then an ungrafted link is ended

  // Before the first graft.
  LinkLimits first = beforeGraft();
  LinkLimits after = linkLimits();

  static LinkLimits beforeGraft();
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

  // From a peer that proved its id. Dropped at once where that peer has too many already that have
  // not grafted. Above the limit of all, the oldest of the address that has most makes room.
  void servePeer(PeerStream peer);

  size_t count() const { return links; }
  size_t ungraftedCount() const { return waiting.size(); }

 private:
  class Link;
  void makeRoom();
  kj::Promise<void> run(kj::Own<Link> link);
  void taskFailed(kj::Exception&& exception) override;

  Node& node;
  Swarm& swarm;
  GraftPolicy& policy;
  OpenGraftPolicy openPolicy;
  kj::Timer& timer;
  Logger& logger;
  const ClientLimits limits;
  size_t links = 0;
  kj::HashMap<kj::String, kj::uint> ungraftedOf;  // by peer id, in text
  kj::Vector<Link*> waiting;                      // those that have not grafted, by age
  kj::TaskSet tasks;
};

}  // namespace ww
