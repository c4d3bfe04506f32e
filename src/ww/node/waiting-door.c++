#include <ww/node/waiting-door.h>

#include <membrane.capnp.h>
#include <ww/base/error.h>
#include <ww/link/rpc-link.h>
#include <ww/node/client-links.h>

namespace ww {
class WaitingDoor::ClosedMembrane final: public stem::Membrane<membrane::WetwareSession>::Server {
 public:
  explicit ClosedMembrane(WaitingDoor& door): door(door) {}

  kj::Promise<void> graft(GraftContext) override {
    return failure(EPOCH_PENDING, kj::str("this node runs, and waits for the chain: ", door.why(),
                                          "; its log and /readyz (--metrics) say so too"));
  }

 private:
  WaitingDoor& door;
};

WaitingDoor::WaitingDoor(LocalEndpoint& endpoint, kj::Timer& timer,
                         kj::Function<kj::String()> why)
    : timer(timer), why(kj::mv(why)), tasks(*this) {
  tasks.add(endpoint.serve(timer, [this](kj::Own<kj::AsyncIoStream> stream) {
    tasks.add(open(kj::mv(stream)));
  }));
}

WaitingDoor::~WaitingDoor() noexcept(false) {}

kj::Promise<void> WaitingDoor::open(kj::Own<kj::AsyncIoStream> stream) {
  if (links.size() >= MAX_LINKS) {
    links.begin()->second->fulfill();
    links.erase(links.begin());
  }
  auto id = ++lastId;
  auto paf = kj::newPromiseAndFulfiller<void>();
  links.emplace(id, kj::mv(paf.fulfiller));
  KJ_DEFER(links.erase(id));
  RpcLink link(kj::mv(stream), kj::heap<ClosedMembrane>(*this), timer, ClientLimits::beforeGraft());
  co_await link.onDisconnect().exclusiveJoin(kj::mv(paf.promise));
}

}  // namespace ww
