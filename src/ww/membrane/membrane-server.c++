#include <ww/membrane/membrane-server.h>

#include <ww/base/error.h>
#include <ww/membrane/epoch-policy.h>
#include <ww/membrane/status-poller.h>

namespace ww {

// How many sessions live; may outlive the Membrane that made them.
class MembraneServer::Count final: public kj::Refcounted {
 public:
  size_t value = 0;
};

MembraneServer::MembraneServer(HeadWatch& heads, GraftPolicy& policy, Offer offer,
                               size_t maxSessions)
    : heads(heads), policy(policy), offer(kj::mv(offer)), maxSessions(maxSessions),
      sessions(kj::refcounted<Count>()) {}

MembraneServer::~MembraneServer() noexcept(false) {}

void MembraneServer::requireRoom() const {
  if (sessions->value >= maxSessions) {
    kj::throwFatalException(overloaded(kj::str("sessions: ", maxSessions,
                                               " live ones; drop some first")));
  }
}

kj::Promise<void> MembraneServer::graft(GraftContext context) {
  requireRoom();
  auto params = context.getParams();
  auto signer = params.hasSigner() ? params.getSigner() : stem::Signer::Client(nullptr);
  return policy.admit(kj::mv(signer)).then([this, context]() mutable {
    requireRoom();
    auto lease = heads.issue();
    ++sessions->value;
    lease->attach(kj::heap(kj::defer([count = kj::addRef(*sessions)]() mutable {
      --count->value;
    })));
    auto offered = offer(*lease);
    auto wrap = kj::refcounted<EpochPolicy>(kj::addRef(*lease));

    auto session = context.getResults(capnp::MessageSize{64 + lease->issued().head.size() / 8, 3})
        .initSession();
    auto epoch = session.initIssuedEpoch();
    epoch.setSeq(lease->issued().seq);
    epoch.setHead(lease->issued().head);
    epoch.setAdoptedBlock(lease->issued().adoptedBlock);
    stem::StatusPoller::Client poller = kj::heap<StatusPollerServer>(*lease);
    session.setStatusPoller(capnp::membrane(kj::mv(poller), kj::addRef(*wrap)));
    auto extension = session.initExtension();
    extension.setHost(capnp::membrane(kj::mv(offered.host), kj::addRef(*wrap)));
    extension.setExecutor(capnp::membrane(kj::mv(offered.executor), kj::addRef(*wrap)));
  });
}

}  // namespace ww
