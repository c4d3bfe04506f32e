#pragma once
// Who answers at a node's local socket while the node has no epoch yet: each graft fails with
// `epochPending:` and what is waited for. Nothing else is to be had of it.
//
// One event loop. Links end with it.

#include <map>
#include <ww/node/local-endpoint.h>

namespace ww {

class WaitingDoor final: private kj::TaskSet::ErrorHandler {
 public:
  // References outlive it. `why`: what is waited for, for a person, as of now.
  WaitingDoor(LocalEndpoint& endpoint, kj::Timer& timer, kj::Function<kj::String()> why);
  ~WaitingDoor() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(WaitingDoor);

 private:
  class ClosedMembrane;

  static constexpr kj::uint MAX_LINKS = 16;  // for one more the oldest is hung up on

  kj::Promise<void> open(kj::Own<kj::AsyncIoStream> stream);
  void taskFailed(kj::Exception&&) override {}  // a link that broke

  kj::Timer& timer;
  kj::Function<kj::String()> why;
  uint64_t lastId = 0;
  std::map<uint64_t, kj::Own<kj::PromiseFulfiller<void>>> links;  // the oldest first, to end it
  kj::TaskSet tasks;
};

}  // namespace ww
