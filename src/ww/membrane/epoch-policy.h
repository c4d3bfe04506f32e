#pragma once
// Where authority expires. One EpochPolicy wraps all that a session hands out and refuses calls
// once the session's lease has ended.
//
// It is the first of three nets, since none is enough alone:
// - here, as a call crosses, synchronously: none is admitted after the head has moved, and callers
//   of calls in flight are told;
// - SessionBound, at dispatch: one admitted a turn before is refused, one in flight is destroyed;
// - the caller of an effect outside of this process: asks once more after every wait.
//
// Cap'n Proto 1.4.0 asks for care: see docs/revocation.md for what the comments below keep away.
// Lives on one event loop.

#include <capnp/membrane.h>
#include <ww/base/recycled.h>
#include <ww/epoch/lease.h>

namespace ww {

class EpochPolicy final: public capnp::MembranePolicy,
                         public kj::Refcounted,
                         public Recycled<EpochPolicy> {
 public:
  explicit EpochPolicy(kj::Own<Lease> lease): lease(kj::mv(lease)) {}

  kj::Maybe<capnp::Capability::Client> inboundCall(
      uint64_t interfaceId, uint16_t methodId, capnp::Capability::Client target) override;
  kj::Maybe<capnp::Capability::Client> outboundCall(
      uint64_t interfaceId, uint16_t methodId, capnp::Capability::Client target) override;
  capnp::Capability::Client exportInternal(capnp::Capability::Client internal) override;
  capnp::Capability::Client importExternal(capnp::Capability::Client external) override;
  kj::Maybe<kj::Promise<void>> onRevoked() override;

  // A root of its own for each session: with a shared one, a stale capability that comes in through
  // a fresh session would be unwrapped, and come out fresh.
  kj::Own<MembranePolicy> addRef() override { return kj::addRef(*this); }

 private:
  kj::Maybe<capnp::Capability::Client> refusal() const;

  kj::Own<Lease> lease;
  bool wrapping = false;
};

// `client` as it leaves through a session of its own on this lease. Wrap all that one session hands
// out with one policy instead, where they may meet again.
template <typename Interface>
typename Interface::Client bindToLease(Lease& lease, typename Interface::Client client) {
  return capnp::membrane(kj::mv(client), kj::refcounted<EpochPolicy>(kj::addRef(lease)));
}

}  // namespace ww
