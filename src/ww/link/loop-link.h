#pragma once
// RPC between two event loops of one process. A message is written once and read where it lies:
// what crosses is a reference to it. Both sides are the node's own, so nothing here is limited:
// what a guest can cause to be under way is limited where it comes in.
//
// The two Seats of a pair may be made anywhere; each LoopLink lives on its loop's thread.

#include <capnp/capability.h>
#include <kj/common.h>
#include <kj/memory.h>

namespace ww {

class LoopLink final {
 public:
  // One end of a link that is yet to come. Any thread.
  class Seat {
   public:
    struct Ends;
    explicit Seat(kj::Own<Ends> ends);
    ~Seat() noexcept(false);
    KJ_DISALLOW_COPY_AND_MOVE(Seat);

   private:
    friend class LoopLink;
    kj::Own<Ends> ends;
  };
  struct Pair {
    kj::Own<Seat> first, second;
  };
  static Pair makePair();

  // `offered` is what the other side gets by its bootstrap().
  LoopLink(kj::Own<Seat> seat, capnp::Capability::Client offered);

  // Disconnects. Never from within a call that it is delivering.
  ~LoopLink() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(LoopLink);

  // What the other side offers. Calls wait until that side is there.
  capnp::Capability::Client bootstrap() { return theirs; }

 private:
  class Network;
  struct Impl;
  kj::Own<Impl> impl;
  capnp::Capability::Client theirs = nullptr;
};

}  // namespace ww
