#include <ww/membrane/key-signer.h>

#include <string.h>
#include <ww/base/error.h>
#include <ww/membrane/graft-proof.h>

namespace ww {
namespace {

// As graftDomain() writes it: digits, none of them superfluous.
bool isSeq(kj::StringPtr text) {
  KJ_IF_MAYBE(seq, text.tryParseAs<uint64_t>()) return kj::str(*seq) == text;
  return false;
}

}  // namespace

KeySigner::KeySigner(SecretKey key, kj::StringPtr peerId)
    : key(kj::mv(key)), domainPrefix(kj::str(GRAFT_DOMAIN_PREFIX, peerId, '/')) {}

kj::Promise<void> KeySigner::sign(SignContext context) {
  auto params = context.getParams();
  kj::StringPtr domain = params.getDomain();
  if (!domain.startsWith(domainPrefix) || !isSeq(domain.slice(domainPrefix.size()))) {
    return denied(kj::str("this signer signs only what begins with ", domainPrefix,
                          ", and an epoch's number after it"));
  }
  auto signature = key.sign(graftMessage(domain, params.getNonce()));
  auto publicKey = key.getPublicKey();
  auto answer = context.getResults(capnp::MessageSize{4 + GRAFT_ANSWER_BYTES / 8, 0})
      .initSig(GRAFT_ANSWER_BYTES);
  memcpy(answer.begin(), publicKey.bytes, sizeof(publicKey.bytes));
  memcpy(answer.begin() + sizeof(publicKey.bytes), signature.bytes, sizeof(signature.bytes));
  return kj::READY_NOW;
}

stem::Signer::Client makeSigner(SecretKey key, kj::StringPtr peerId) {
  return kj::heap<KeySigner>(kj::mv(key), peerId);
}

}  // namespace ww
