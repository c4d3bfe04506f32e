#pragma once
// The base of every Host. A guest that was written for `ww run` takes what it is handed for a
// Membrane: it is told what it has instead.

#include <peer.capnp.h>
#include <stem.capnp.h>
#include <ww/epoch/session-bound.h>

namespace ww {

class CellHost: public SessionBound<peer::Host> {
 public:
  using SessionBound::SessionBound;

  DispatchCallResult dispatchCall(
      uint64_t interfaceId, uint16_t methodId,
      capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) override {
    if (interfaceId == capnp::typeId<stem::Membrane<>>()) return {notAMembrane(), false, true};
    return SessionBound::dispatchCall(interfaceId, methodId, context);
  }

 private:
  static kj::Exception notAMembrane() {
    return kj::Exception(kj::Exception::Type::UNIMPLEMENTED, __FILE__, __LINE__, kj::str(
        "this guest takes what it was handed for a Membrane, and it is a Host: `ww run` boots it "
        "with a Membrane; what `ww exec` or another cell starts has a Host (capnp/peer.capnp)"));
  }
};

}  // namespace ww
