#pragma once
// Who wants to know how a link's messages come in.

namespace ww {

class ReadObserver {
 public:
  // All that was there was read. `midMessage`: of the last message there is more to come.
  virtual void onRead(bool midMessage) = 0;
};

}  // namespace ww
