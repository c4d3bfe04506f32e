#include <ww/link/peer-question.h>

namespace ww {

uint64_t PeerQuestion::addPath(capnp::List<capnp::rpc::PromisedAnswer::Op>::Reader steps) {
  auto path = KJ_MAP(step, steps) -> uint32_t {
    return step.isGetPointerField() ? step.getGetPointerField() : uint32_t(kj::maxValue);
  };
  if (paths.get() == nullptr) paths = kj::heap<kj::HashSet<Path>>();
  if (paths->contains(path)) return 0;
  paths->insert(kj::mv(path));
  bytes += PATH_BYTES;
  pathBytes += PATH_BYTES;
  return PATH_BYTES;
}

}  // namespace ww
