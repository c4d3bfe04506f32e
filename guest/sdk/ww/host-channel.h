#pragma once
// The connection to the host, as a byte channel. What is written gathers until the guest waits; and
// a guest that waits for nothing but its host takes one call of the host for it.

#include <ww/base/byte-channel.h>
#include "ww/event-port.h"

namespace ww {

class HostChannel final: public ByteChannel, private EventPort::Source {
 public:
  // A guest has one; a second one traps. `port` outlives it.
  explicit HostChannel(EventPort& port);
  ~HostChannel() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(HostChannel);

  void attach(User& newUser) override { user = newUser; }
  kj::Maybe<size_t> read(kj::ArrayPtr<kj::byte> buffer) override;
  kj::Maybe<size_t> write(kj::ArrayPtr<const kj::byte> bytes) override;
  void wakeReader() override { wantsInput = true; }
  void wakeWriter() override { hasOutput = true; }
  void closeWrite() override;

 private:
  void beforeWait() override;
  Pollables waitsFor() override;
  void onReady() override;
  bool waitAlone() override;

  EventPort& port;
  wasi::Owned<wasi::ww_connection_drop> connection;
  wasi::Owned<wasi::ww_input_stream_drop> in;
  wasi::Owned<wasi::ww_output_stream_drop> out;
  wasi::Owned<wasi::ww_pollable_drop> inReady, outReady;  // go before their streams
  kj::Maybe<User&> user;
  bool wantsInput = false;  // the user is to be told of input
  bool hasOutput = false;   // the user has something to write
  bool full = false;        // the host took less than was offered
  bool mayBlock = false;    // reads wait
};

}  // namespace ww
