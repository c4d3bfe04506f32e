#pragma once
// A client's Signer: proves with a secret key who grafts. It signs nothing but grafts at the one
// node that it believes to be connected to: a node that passes on another's question gets no
// signature that the other would take.
//
// It belongs to who holds the key and hangs on no session.

#include <stem.capnp.h>
#include <ww/base/ed25519.h>

namespace ww {

class KeySigner final: public stem::Signer::Server {
 public:
  // `peerId`: the node's, in base58, as its connection proved it.
  KeySigner(SecretKey key, kj::StringPtr peerId);

  // `denied:` for any domain but that of a graft at that node, in some epoch.
  kj::Promise<void> sign(SignContext context) override;

 private:
  const SecretKey key;
  const kj::String domainPrefix;
};

stem::Signer::Client makeSigner(SecretKey key, kj::StringPtr peerId);

}  // namespace ww
