#pragma once
// Whom the engine tells about a pipe: at one end of it, on the host's side.

namespace ww::ffi {

class PipeListener {
 public:
  // What the last operation there fell short of can be had now; or the other end was closed. Called
  // on the guest's stack: settles promises or arms events, and nothing else.
  virtual void onPipeEvent() noexcept = 0;

  // The engine's hook: `listener` is a PipeListener*.
  static void tell(void* listener) noexcept {
    static_cast<PipeListener*>(listener)->onPipeEvent();
  }
};

}  // namespace ww::ffi
