#pragma once
// The host's end of a guest's connection, as a byte channel: straight on the two pipes. May outlive
// the guest: then it gives what is left, and the end. Lives on the engine's loop.

#include <kj/async.h>
#include <ww/base/byte-channel.h>
#include <ww/base/recycled.h>
#include <ww/ffi/pipe-listener.h>
#include <ww/ffi/run-queue.h>

struct WwPipe;

namespace ww::ffi {

class PipeChannel final: public ByteChannel, public Recycled<PipeChannel> {
 public:
  // Takes the references over. Writes wait for their turn in `queue`.
  PipeChannel(RunQueue& queue, WwPipe* toGuest, WwPipe* fromGuest);
  ~PipeChannel() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(PipeChannel);

  void attach(User& user) override { this->user = user; }
  kj::Maybe<size_t> read(kj::ArrayPtr<kj::byte> buffer) override;
  kj::Maybe<size_t> write(kj::ArrayPtr<const kj::byte> bytes) override;
  void wakeReader() override { readEnd.armDepthFirst(); }
  void wakeWriter() override { queue->add(writeEnd); }
  void closeWrite() override;

 private:
  class End final: public kj::_::Event, public PipeListener, public RunQueue::Writer {
   public:
    End(PipeChannel& channel, void (User::*tell)())
        : Event(kj::SourceLocation()), channel(channel), tell(tell) {}
    void onPipeEvent() noexcept override { armBreadthFirst(); }
    void onTurn() override { KJ_IF_MAYBE(user, channel.user) (user->*tell)(); }

   private:
    kj::Maybe<kj::Own<kj::_::Event>> fire() override;
    void traceEvent(kj::_::TraceBuilder&) override {}

    PipeChannel& channel;
    void (User::*const tell)();
  };

  kj::Own<RunQueue> queue;
  WwPipe* const toGuest;
  WwPipe* const fromGuest;
  kj::Maybe<User&> user;
  End readEnd{*this, &User::onReadable};
  End writeEnd{*this, &User::onWritable};
};

}  // namespace ww::ffi
