#pragma once
// The door to sessions: graft() asks a policy, takes a lease under the current epoch, and hands out
// what the node offers, wrapped. It outlives every epoch, and so is not session-bound itself.
//
// What is handed out is made elsewhere, and this room cannot tell what it does: the node's function
// gets the session's lease, on which everything that it makes must hang.

#include <kj/function.h>
#include <membrane.capnp.h>
#include <stem.capnp.h>
#include <ww/epoch/head-watch.h>

namespace ww {

// Who may graft.
class GraftPolicy {
 public:
  virtual ~GraftPolicy() noexcept(false) {}

  // Resolves to admit the caller, who may have given no signer (a null capability). Rejects with
  // `unauthorized:` to refuse. May take its time: the session is of the epoch current afterwards.
  virtual kj::Promise<void> admit(stem::Signer::Client signer) = 0;
};

// Everybody: whoever holds the Membrane was given it on purpose.
class OpenGraftPolicy final: public GraftPolicy {
 public:
  kj::Promise<void> admit(stem::Signer::Client) override { return kj::READY_NOW; }
};

// What one session hands out, not yet wrapped. Each server behind these is SessionBound to the
// lease that it was made for.
struct SessionOffer {
  peer::Host::Client host;
  peer::Executor::Client executor;
};

class MembraneServer final
    : public stem::Membrane<membrane::WetwareSession>::Server {
 public:
  using Offer = kj::Function<SessionOffer(Lease& lease)>;

  // Live sessions of one Membrane: a guest that grafts in a loop is refused beyond that with
  // `overloaded: sessions`. A session lives as long as somebody holds a capability of it.
  static constexpr size_t DEFAULT_MAX_SESSIONS = 64;

  // `heads` and `policy` outlive it.
  MembraneServer(HeadWatch& heads, GraftPolicy& policy, Offer offer,
                 size_t maxSessions = DEFAULT_MAX_SESSIONS);
  ~MembraneServer() noexcept(false);

  kj::Promise<void> graft(GraftContext context) override;

 private:
  class Count;

  void requireRoom() const;

  HeadWatch& heads;
  GraftPolicy& policy;
  Offer offer;
  const size_t maxSessions;
  kj::Own<Count> sessions;
};

}  // namespace ww
