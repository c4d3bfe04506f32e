#pragma once
// Answers `ok` for as long as the session's lease stands; after that SessionBound refuses.

#include <stem.capnp.h>
#include <ww/base/recycled.h>
#include <ww/epoch/session-bound.h>

namespace ww {

class StatusPollerServer final: public SessionBound<stem::StatusPoller>,
                                public Recycled<StatusPollerServer> {
 public:
  using SessionBound::SessionBound;

  kj::Promise<void> pollStatus(PollStatusContext context) override {
    context.getResults(capnp::MessageSize{4, 0}).setStatus(stem::Status::OK);
    return kj::READY_NOW;
  }
};

}  // namespace ww
