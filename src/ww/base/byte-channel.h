#pragma once
// Both directions of a byte stream without a promise for each move: what can be moved is moved now,
// and the channel's one user is told when more can be. The cheap way to a pipe in memory, where
// kj::AsyncIoStream would cost more than the bytes.
//
// Lives on one event loop. Dropping it closes both directions.

#include <kj/array.h>

namespace ww {

class ByteChannel {
 public:
  // Called from an event of the loop, never from within a call to the channel.
  class User {
   public:
    virtual void onReadable() = 0;
    virtual void onWritable() = 0;
  };

  virtual ~ByteChannel() noexcept(false) {}

  // Before anything else, once. The user outlives the channel.
  virtual void attach(User& user) = 0;

  // The bytes moved. Nothing: that direction is closed. After fewer than could be, none read or
  // less written than offered, the user is told when there is more to do.
  virtual kj::Maybe<size_t> read(kj::ArrayPtr<kj::byte> buffer) = 0;
  virtual kj::Maybe<size_t> write(kj::ArrayPtr<const kj::byte> bytes) = 0;

  // Has the user told unasked: soon; and once what else happens in this turn has happened, so that
  // small writes gather.
  virtual void wakeReader() = 0;
  virtual void wakeWriter() = 0;

  // The peer reads the end, after what was written.
  virtual void closeWrite() = 0;
};

}  // namespace ww
