#pragma once
// A graft for whoever proves that they hold an allowed key. graft() asks the caller's signer to
// sign a fresh nonce for this node and the current epoch, so that no signature is good at another
// node, in another epoch, for another graft or for another purpose. graft-proof.h has the bytes.
//
// Each refusal is `unauthorized:` with its reason. Whether a key is allowed is told only to who
// holds it: every refusal has verified some signature and looked through the whole list first.
//
// Lives on one event loop. Tests: signed-graft-policy-test.c++.

#include <kj/function.h>
#include <kj/timer.h>
#include <ww/membrane/graft-policy.h>

namespace ww {

class SignedGraftPolicy final: public GraftPolicy {
 public:
  static constexpr kj::Duration SIGNER_TIMEOUT = 5 * kj::SECONDS;

  // Yields what nobody can foresee: randomNonce, but for tests. One nonce for each graft; that none
  // comes twice rests on it.
  using Nonces = kj::Function<uint64_t()>;

  // `peerId`: this node's, in base58. `allowed` and `timer` outlive the policy, and the policy the
  // promises that it gives.
  SignedGraftPolicy(kj::StringPtr peerId, AllowedKeys& allowed, kj::Timer& timer, Nonces nonces)
      : peerId(kj::str(peerId)), allowed(allowed), timer(timer), nonces(kj::mv(nonces)) {}

  kj::Promise<Admission> admit(kj::Maybe<stem::Signer::Client> signer, uint64_t epochSeq) override;

 private:
  struct Answer;
  kj::Promise<Answer> ask(kj::Maybe<stem::Signer::Client> signer, kj::StringPtr domain,
                          uint64_t nonce);

  const kj::String peerId;
  AllowedKeys& allowed;
  kj::Timer& timer;
  Nonces nonces;
};

}  // namespace ww
