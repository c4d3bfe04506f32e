#include <ww/cell/limits.h>

namespace ww {

kj::String valueOf(LimitKind kind, const LinkLimits& limits) {
  auto& quota = limits.quota;
  switch (kind) {
    case LimitKind::LINK_CALLS: return kj::str(quota.calls);
    case LimitKind::LINK_ANSWERS: return kj::str(quota.answers);
    case LimitKind::LINK_HELD_BYTES: return kj::str(quota.heldBytes);
    case LimitKind::LINK_MESSAGE: return kj::str(quota.messageBytes);
    case LimitKind::LINK_SEGMENTS: return kj::str(limits.frame.segments);
    case LimitKind::LINK_DEPTH: return kj::str(quota.depth);
    case LimitKind::LINK_EXPORTS: return kj::str(quota.exports);
    case LimitKind::LINK_SENT_CAPS: return kj::str(quota.sentCaps);
    case LimitKind::LINK_UNSENT_BYTES: return kj::str(limits.unsentBytes);
    case LimitKind::LINK_STALLED: return kj::str(limits.patience);
    default: return kj::str("fixed");
  }
}

}  // namespace ww
