#pragma once
// Sessions that are held through other vats, calls on them that nobody waits for one by one, and an
// advance of the head, watched turn by turn.

#include <kj/time.h>
#include "campaign.h"
#include "client-fixture.h"

namespace ww {

double secondsNow();
double processorSeconds();  // of this thread

// A way to a node: it, an owner's link, and so many vats behind one another, each with a link of
// its own to the one before. The last has the Membrane.
class Chain {
 public:
  Chain(Fixture& f, kj::uint hops);
  ~Chain() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Chain);

 private:
  struct Hop;
  kj::Own<Client> first;
  kj::Vector<kj::Own<Hop>> others;

 public:
  Membrane::Client membrane;
};

// What became of calls.
struct Tally {
  kj::uint waiting = 0, answered = 0, refused = 0;
  kj::String other;  // the last failure that was no refusal by this epoch
  double first = 0, last = 0;  // when refusals came

  Tally(uint64_t issued, uint64_t current)
      : stale(kj::str("staleEpoch: issued ", issued, ", current ", current)) {}
  KJ_DISALLOW_COPY_AND_MOVE(Tally);

  void add(kj::Promise<void> call);
  kj::uint size() const { return calls.size(); }

 private:
  const kj::String stale;
  kj::Vector<kj::Promise<void>> calls;
};

// So many calls, a few hundred at a time, all settled.
void callMany(kj::WaitScope& waitScope, Tally& tally, size_t count,
              kj::FunctionParam<kj::Promise<void>(size_t)> call);

// One session's capabilities in the hands of the last vat of a chain, each an object of its own.
struct HeldSession {
  HeldSession(Fixture& f, Membrane::Client membrane, kj::uint count);

  Fixture& f;
  capnp::Response<Membrane::GraftResults> graft;
  stem::StatusPoller::Client poller;
  peer::Host::Client host;
  peer::Executor::Client executor;
  kj::Vector<peer::Cells::Client> held;

  void callAll(Tally& tally);
};

// Moves the head by one, until nothing is left to be done. Seconds from the beginning of the turn
// in which it was stored.
struct Advance {
  explicit Advance(Fixture& f);

  double stored = 0;    // by secondsNow()
  double ended = 0;     // until leases have ended
  double busy = 0;      // likewise, of the processor's: what others do meanwhile is not in it
  double settled = 0;
};

kj::String us(double seconds);

}  // namespace ww
