#pragma once
// What one link may have in flight. A decorator of a two-party network that sees each message
// before the RPC system does. A call over a limit is refused with `overloaded: NAME`, and so is
// whatever is pipelined on it; nothing else on the link is lost. It never stops reading: that would
// deadlock honest parties.
//
// The limits are not only about memory: the RPC system frees a chain of calls, each pipelined on
// the one before, by recursion, so an endless one would end the process.
//
// Lives on one event loop, for the serving end. Outlives the RPC system on it.

#include <capnp/rpc-twoparty.h>
#include <kj/function.h>
#include <kj/map.h>
#include <stdint.h>

namespace ww {

struct QuotaLimits {
  kj::uint calls = 1000;  // not yet answered
  kj::uint depth = 64;    // unanswered calls and field accesses in one chain of pipelining
  // By calls not yet answered, with the capabilities that they were given; by answers not yet
  // finished, with what was pipelined on them; by the reasons of promises that failed.
  uint64_t heldBytes = 16 << 20;
  kj::uint answers = 1000;        // not yet finished

  // Above it a call is refused, but for the one that carries components, one at a time, which does
  // not count above.
  uint64_t messageBytes = 8 << 20;
  uint64_t largeInterface = 0;  // none
  uint16_t largeMethod = 0;

  // At so many times heldBytes the link ends: only the peer can free what is held.
  kj::uint tolerance = 4;

  // Capabilities that either party has sent and the other has not released. At so many a call is
  // refused; at `tolerance` times so many the link ends.
  kj::uint exports = 10'000;

  kj::uint sentCaps = kj::maxValue;  // by the peer, ever; one more ends the link

  // Calls, over a link's life, that the peer sent for pipelining only and has finished: they may
  // run on, and nothing tells of their end, so they and the bytes of their messages count for good,
  // and so do many capabilities.
  kj::uint unheard() const { return 10 * calls; }

  // Refused calls that the peer has not finished: what only it can free ends the link.
  kj::uint refused() const { return 4 * calls; }

  // Disembargoes that were not answered, since what is to be lifted is not known yet; each takes
  // some 2 KiB. One more ends the link.
  kj::uint embargoes() const { return 4 * calls; }
};

// What a link holds now.
struct LinkUse {
  size_t calls = 0;  // of the peer's, unanswered or unfinished, refused ones too
  uint64_t heldBytes = 0;
  size_t exports = 0, imports = 0;  // that the peer, and this side, has yet to release
  size_t waits = 0;  // calls and promises of the peer's in chains, and what each waits for
  size_t embargoes = 0;  // that the peer wants lifted, and were not yet
};

class QuotaNetwork final: public capnp::TwoPartyVatNetworkBase {
 public:
  // What is told of the connection as it goes on.
  class Watcher {
   public:
    // A message has come or is going. False: too much is unsent, which is counted, and the link
    // ends with the next that comes.
    virtual bool mayGoOn() = 0;

    // Nothing that the peer says is heard any more. What is unsent still goes out.
    virtual void heardLast() = 0;

    // The peer came up against the limit of this name: a call was refused, or the link ends.
    virtual void onHit(kj::StringPtr limit) = 0;
  };

  // The watcher outlives it.
  QuotaNetwork(capnp::TwoPartyVatNetworkBase& inner, QuotaLimits limits, Watcher& watcher)
      : inner(inner), limits(limits), watcher(watcher) {}
  KJ_DISALLOW_COPY_AND_MOVE(QuotaNetwork);

  kj::Maybe<kj::Own<Connection>> connect(capnp::rpc::twoparty::VatId::Reader ref) override;
  kj::Promise<kj::Own<Connection>> accept() override;

  // For what comes from now on. What was counted stays counted.
  void setLimits(QuotaLimits to) { limits = to; }

  LinkUse getUse() const;

 private:
  class CountedConnection;
  kj::Own<Connection> counted(kj::Own<Connection> connection);

  capnp::TwoPartyVatNetworkBase& inner;
  QuotaLimits limits;
  Watcher& watcher;
  kj::Maybe<CountedConnection&> current;
  bool accepted = false;
};

}  // namespace ww
