#pragma once
// The base of every server that a session hands out, directly or through another: it asks the lease
// again at the last moment before a method's body runs, and lets the lease destroy bodies that are
// in flight when it ends. The policy in membrane/ alone cannot: it looks when a call crosses, which
// is an event earlier, and knows nothing of bodies.
//
//   class EchoServer final: public SessionBound<Echo> {
//    public:
//     explicit EchoServer(Lease& lease): SessionBound(lease) {}
//     kj::Promise<void> echo(EchoContext context) override;
//   };
//
// A body with an effect outside of this process calls lease->check() after each co_await, right
// before the effect. A server that calls a guest's capability builds and sends the request in one
// turn. tests/tools/session_bound_test.py sees to it that no server is forgotten.

#include <capnp/capability.h>
#include <ww/epoch/lease.h>

namespace ww {

template <typename Interface>
class SessionBound: public Interface::Server {
 public:
  explicit SessionBound(Lease& lease): lease(kj::addRef(lease)) {}

  capnp::Capability::Server::DispatchCallResult dispatchCall(
      uint64_t interfaceId, uint16_t methodId,
      capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) override {
    KJ_IF_MAYBE(exception, lease->findEnd()) {
      return {kj::mv(*exception), false, true};
    }
    auto result = Interface::Server::dispatchCall(interfaceId, methodId, context);
    if (isDone(result.promise)) {
      result.allowCancellation = true;  // there is nothing to cancel, and nothing to see to its end
    } else {
      result.promise = lease->hold(kj::mv(result.promise));
    }
    return result;
  }

 protected:
  kj::Own<Lease> lease;

 private:
  // Of a body that gave kj::READY_NOW, which is one object for all.
  static bool isDone(kj::Promise<void>& body) {
    static const auto& done = *kj::_::readyNow();
    return &kj::_::PromiseNode::from(body) == &done;
  }
};

}  // namespace ww
