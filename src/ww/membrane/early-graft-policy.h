#pragma once
// A graft in one round trip: the question that a signed graft costs is put to the client's own
// bootstrap capability as soon as its link is there, and is answered while the graft is on its way.
// One link's first graft only. A client whose bootstrap is no Signer, or says nothing, is asked as
// any other: by the signer that it gives to graft().
//
// The answer is as good as another: of a fresh nonce, for this node and the epoch that was current
// when it was asked for, taken once. Lives on one event loop.

#include <ww/membrane/graft-policy.h>

namespace ww {

class EarlyGraftPolicy final: public GraftPolicy {
 public:
  // What all grafts of this link go through, asked early or not. Outlives this.
  explicit EarlyGraftPolicy(GraftPolicy& policy): policy(policy) {}

  // Asks now. Once.
  void ask(stem::Signer::Client signer, uint64_t epochSeq);

  // Whichever comes first: that the early answer admits, or what the policy says.
  kj::Promise<Admission> admit(kj::Maybe<stem::Signer::Client> signer,
                               uint64_t epochSeq) override;

 private:
  GraftPolicy& policy;
  kj::Maybe<kj::Promise<Admission>> early;
  uint64_t earlySeq = 0;
};

}  // namespace ww
