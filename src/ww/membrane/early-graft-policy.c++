#include <ww/membrane/early-graft-policy.h>

namespace ww {

void EarlyGraftPolicy::ask(stem::Signer::Client signer, uint64_t epochSeq) {
  earlySeq = epochSeq;
  early = policy.admit(kj::mv(signer), epochSeq)
      .catch_([](kj::Exception&&) -> kj::Promise<Admission> { return kj::NEVER_DONE; })
      .eagerlyEvaluate(nullptr);
}

kj::Promise<Admission> EarlyGraftPolicy::admit(kj::Maybe<stem::Signer::Client> signer,
                                               uint64_t epochSeq) {
  auto asked = kj::mv(early);
  early = nullptr;
  auto decided = policy.admit(kj::mv(signer), epochSeq);
  KJ_IF_MAYBE(promise, asked) {
    if (earlySeq == epochSeq) return promise->exclusiveJoin(kj::mv(decided));
  }
  return decided;
}

}  // namespace ww
