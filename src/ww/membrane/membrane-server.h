#pragma once
// The door to sessions: graft() asks a policy, takes a lease under the current epoch, and hands out
// what the node offers, wrapped. It outlives every epoch, and so is not session-bound itself.
//
// What is handed out is made elsewhere, and this room cannot tell what it does: the node's function
// gets the session's lease, on which everything that it makes must hang.

#include <kj/function.h>
#include <membrane.capnp.h>
#include <node.capnp.h>
#include <stem.capnp.h>
#include <ww/epoch/head-watch.h>
#include <ww/membrane/graft-policy.h>

namespace ww {

// What one session hands out, not yet wrapped. Each server behind these is SessionBound to the
// lease that it was made for.
struct SessionOffer {
  peer::Host::Client host;
  peer::Executor::Client executor;
  kj::Maybe<node::Node::Client> node = nullptr;  // for who may act on the node itself
};

// How many sessions of one Membrane there may be: a guest that grafts in a loop is refused beyond
// with `overloaded: sessions`. A session takes room for as long as somebody holds a capability of
// it; dropping them makes room.
struct SessionLimits {
  size_t standing = 64;  // whose lease stands
  size_t held = 1024;    // with those that have ended: guests may be slow to let go
  size_t pending = kj::maxValue;  // grafts whose policy has yet to decide
};

// What the Membranes of one node stand on, and whether they still do: a Membrane lives for as long
// as a guest holds it, which may be longer than the node.
class GraftGate final: public kj::Refcounted {
 public:
  explicit GraftGate(HeadWatch& heads): heads(heads) {}  // outlives close()

  // Destroys grafts in flight, and refuses those to come with `ended:`. Not from within a graft.
  void close();

  // From now on sessions are of those epochs alone whose image is there: grafts in any other are
  // refused with `epochPending:` and what `why` says, for a person.
  void requireImages(kj::Function<kj::String()> why) { whyPending = kj::mv(why); }

  // The image of the epoch with this number is there.
  void setImageReady(uint64_t epochSeq) { readySeq = epochSeq; }

 private:
  friend class MembraneServer;
  void requireImage();

  HeadWatch& heads;
  bool closed = false;
  kj::Maybe<kj::Function<kj::String()>> whyPending;
  kj::Maybe<uint64_t> readySeq;
  kj::Canceler grafts;
};

class MembraneServer final
    : public stem::Membrane<membrane::WetwareSession>::Server {
 public:
  // `key`: whose session it is, where the policy asked for one. May throw, to refuse.
  using Offer = kj::Function<SessionOffer(Lease& lease, kj::Maybe<const AllowedKey&> key)>;

  // The limit's name, `sessions` or `grafts`, and its value.
  using OnRefused = kj::Function<void(kj::StringPtr name, size_t limit)>;

  // `policy`, and what `offer` and `onRefused` refer to, outlive the gate's close().
  MembraneServer(GraftGate& gate, GraftPolicy& policy, Offer offer, SessionLimits limits = {},
                 OnRefused onRefused = [](kj::StringPtr, size_t) {});
  ~MembraneServer() noexcept(false);

  // A graft that the policy keeps waiting takes no room; it is a call in flight like any other.
  kj::Promise<void> graft(GraftContext context) override;

  // A guest that takes it for a Host is told what it has instead.
  DispatchCallResult dispatchCall(
      uint64_t interfaceId, uint16_t methodId,
      capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) override;

 private:
  class Register;

  kj::Promise<void> graftThroughGate(GraftContext context);
  void answer(GraftContext& context, Admission& admission);
  void requireRoom();
  [[noreturn]] void refuse(kj::StringPtr name, size_t limit, kj::StringPtr why);

  kj::Own<GraftGate> gate;
  GraftPolicy& policy;
  Offer offer;
  const SessionLimits limits;
  OnRefused onRefused;
  kj::Own<Register> sessions;
  size_t pending = 0;
};

}  // namespace ww
