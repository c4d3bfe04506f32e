#pragma once
// The Process of a cell on another loop, and its streams, as this loop hands them out: bound to the
// session's lease here too, beside what they are bound to there, and with failures in the words in
// which they were made.

#include <peer.capnp.h>
#include <ww/epoch/session-bound.h>

namespace ww {

class FarProcess final: public SessionBound<peer::Process> {
 public:
  FarProcess(Lease& lease, peer::Process::Client there)
      : SessionBound(lease), there(kj::mv(there)) {}

  kj::Promise<void> stdin(StdinContext context) override;
  kj::Promise<void> stdout(StdoutContext context) override;
  kj::Promise<void> stderr(StderrContext context) override;
  kj::Promise<void> wait(WaitContext context) override;
  kj::Promise<void> kill(KillContext context) override;
  kj::Promise<void> info(InfoContext context) override;
  kj::Promise<void> detach(DetachContext context) override;

 private:
  peer::Process::Client there;
};

class FarStream final: public SessionBound<peer::ByteStream> {
 public:
  FarStream(Lease& lease, peer::ByteStream::Client there)
      : SessionBound(lease), there(kj::mv(there)) {}

  kj::Promise<void> read(ReadContext context) override;
  kj::Promise<void> write(WriteContext context) override;
  kj::Promise<void> close(CloseContext context) override;

 private:
  peer::ByteStream::Client there;
};

}  // namespace ww
