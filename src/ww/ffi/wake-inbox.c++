#include <ww/ffi/wake-inbox.h>

namespace ww::ffi {

void WakeInbox::unref() {
  if (count.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void WakeInbox::wake(uint64_t id) {
  auto lock = state.lockExclusive();
  if (lock->closed) return;
  lock->ids.add(id);
  KJ_IF_MAYBE(doorbell, lock->doorbell) {
    doorbell->get()->fulfill();
    lock->doorbell = nullptr;
  }
}

kj::Promise<void> WakeInbox::onWake() {
  auto paf = kj::newPromiseAndCrossThreadFulfiller<void>();
  auto lock = state.lockExclusive();
  if (!lock->ids.empty()) return kj::READY_NOW;
  lock->doorbell = kj::mv(paf.fulfiller);
  return kj::mv(paf.promise);
}

kj::Vector<uint64_t> WakeInbox::take() {
  auto lock = state.lockExclusive();
  auto ids = kj::mv(lock->ids);
  lock->ids = {};
  return ids;
}

void WakeInbox::close() {
  auto lock = state.lockExclusive();
  lock->closed = true;
  lock->doorbell = nullptr;
  lock->ids.clear();
}

}  // namespace ww::ffi
