#include <ww/membrane/graft-policy.h>

#include <ww/base/error.h>

namespace ww {

void Admission::bind(Lease& lease) {
  KJ_IF_MAYBE(seq, epochSeq) {
    if (*seq != lease.issuedSeq()) {
      kj::throwFatalException(unauthorized(kj::str("the signature is for epoch ", *seq,
          ", and the epoch is ", lease.issuedSeq(), " by now; graft again")));
    }
  }
  KJ_IF_MAYBE(h, hold) AllowedKeys::Hold::bind(kj::mv(*h), lease);
  hold = nullptr;
}

}  // namespace ww
