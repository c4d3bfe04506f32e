#pragma once
// The Process capability: a handle on one cell, and its pipes as ByteStreams. Dropping it gives up
// the handle and nothing else. As long as it lives, so does its hold on stdin: a cell whose last
// handle is gone reads the end of its stdin.

#include <peer.capnp.h>
#include <ww/base/recycled.h>
#include <ww/cell/cell.h>
#include <ww/epoch/session-bound.h>

namespace ww {

class ProcessServer final: public SessionBound<peer::Process>, public Recycled<ProcessServer> {
 public:
  ProcessServer(Lease& lease, kj::Own<Cell> cell);

  kj::Promise<void> stdin(StdinContext context) override;
  kj::Promise<void> stdout(StdoutContext context) override;
  kj::Promise<void> stderr(StderrContext context) override;
  kj::Promise<void> wait(WaitContext context) override;
  kj::Promise<void> kill(KillContext context) override;
  kj::Promise<void> info(InfoContext context) override;
  kj::Promise<void> detach(DetachContext context) override;

 private:
  kj::Own<Cell> cell;
  // Until stdin() is called first: from then on its streams hold the pipe.
  kj::Maybe<kj::Own<PipeEnd::Holder>> stdinHold;
};

class ByteStreamServer final: public SessionBound<peer::ByteStream>,
                              public Recycled<ByteStreamServer> {
 public:
  ByteStreamServer(Lease& lease, PipeEnd& pipe);

  kj::Promise<void> read(ReadContext context) override;
  kj::Promise<void> write(WriteContext context) override;
  kj::Promise<void> close(CloseContext context) override;

 private:
  kj::Own<PipeEnd::Holder> pipe;
};

}  // namespace ww
