#include <ww/membrane/epoch-policy.h>

namespace ww {

kj::Maybe<capnp::Capability::Client> EpochPolicy::inboundCall(
    uint64_t, uint16_t, capnp::Capability::Client) {
  return refusal();
}

kj::Maybe<capnp::Capability::Client> EpochPolicy::outboundCall(
    uint64_t, uint16_t, capnp::Capability::Client) {
  return refusal();
}

kj::Maybe<capnp::Capability::Client> EpochPolicy::refusal() const {
  // A broken capability, never a throw: from a remote call that would end the connection.
  return lease->findEnd().map([](kj::Exception&& reason) {
    return capnp::Capability::Client(kj::mv(reason));
  });
}

capnp::Capability::Client EpochPolicy::exportInternal(capnp::Capability::Client internal) {
  wrapping = true;
  KJ_DEFER(wrapping = false);
  return MembranePolicy::exportInternal(kj::mv(internal));
}

capnp::Capability::Client EpochPolicy::importExternal(capnp::Capability::Client external) {
  wrapping = true;
  KJ_DEFER(wrapping = false);
  return MembranePolicy::importExternal(kj::mv(external));
}

kj::Maybe<kj::Promise<void>> EpochPolicy::onRevoked() {
  // Asked when a wrapper is made and when a call is. A wrapper must get none: at revocation Cap'n
  // Proto 1.4.0 would replace what it wraps, which is also the key under which its destructor
  // removes it from the policy's table, so that a dangling entry stays behind. It needs none
  // either, since inboundCall() refuses.
  if (wrapping) return nullptr;
  return lease->failOnEnd();
}

}  // namespace ww
