#include <ww/membrane/signed-graft-policy.h>

#include <string.h>
#include <ww/base/error.h>
#include <ww/membrane/graft-proof.h>

namespace ww {

// Zeros where there is a fault: no key has a signature then, and it takes as long to find out.
struct SignedGraftPolicy::Answer {
  kj::Maybe<kj::StringPtr> fault;
  PublicKey key = {};
  Signature signature = {};

  Answer(kj::StringPtr fault): fault(fault) {}
  explicit Answer(kj::ArrayPtr<const kj::byte> bytes) {
    if (bytes.size() != GRAFT_ANSWER_BYTES) {
      fault = "the signer's answer is not a key and a signature"_kj;
      return;
    }
    memcpy(key.bytes, bytes.begin(), sizeof(key.bytes));
    memcpy(signature.bytes, bytes.begin() + sizeof(key.bytes), sizeof(signature.bytes));
  }
};

kj::Promise<Admission> SignedGraftPolicy::admit(kj::Maybe<stem::Signer::Client> signer,
                                                uint64_t epochSeq) {
  auto domain = graftDomain(peerId, epochSeq);
  auto nonce = nonces();
  auto answer = co_await ask(kj::mv(signer), domain, nonce);
  // All of this before any refusal; see the header.
  bool verified = verify(answer.key, graftMessage(domain, nonce), answer.signature);
  auto found = allowed.find(answer.key);
  KJ_IF_MAYBE(fault, answer.fault) kj::throwFatalException(unauthorized(*fault));
  if (!verified) kj::throwFatalException(unauthorized("the signature is wrong"));
  KJ_IF_MAYBE(key, found) co_return Admission(allowed.hold(*key), epochSeq);
  kj::throwFatalException(unauthorized("this key is not allowed here"));
}

kj::Promise<SignedGraftPolicy::Answer> SignedGraftPolicy::ask(
    kj::Maybe<stem::Signer::Client> signer, kj::StringPtr domain, uint64_t nonce) {
  KJ_IF_MAYBE(s, signer) {
    // Built and sent in one turn, as every call to a client's capability.
    auto request = s->signRequest(capnp::MessageSize{8 + domain.size() / 8, 0});
    request.setDomain(domain);
    request.setNonce(nonce);
    auto answered = request.send().then(
        [](capnp::Response<stem::Signer::SignResults>&& response) {
      return Answer(response.getSig());
    }).catch_([](kj::Exception&&) { return Answer("the signer failed"_kj); });
    return answered.exclusiveJoin(timer.afterDelay(SIGNER_TIMEOUT).then([]() {
      return Answer("the signer has not answered in time"_kj);
    }));
  }
  return Answer("this Membrane asks for a signer"_kj);
}

}  // namespace ww
