#include <ww/ffi/wake-inbox.h>

namespace ww::ffi {

void WakeInbox::unref() {
  if (count.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

}  // namespace ww::ffi
