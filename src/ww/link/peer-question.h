#pragma once
// One of the peer's questions, until it is answered and finished.

#include <capnp/rpc.capnp.h>
#include <kj/map.h>
#include <ww/link/cap-ledger.h>
#include <ww/link/wait-graph.h>

namespace ww {

struct PeerQuestion {
  // What the RPC system keeps for each way that was taken into an answer: a queue of calls, found
  // by its steps, for as long as the question stands.
  static constexpr uint64_t PATH_BYTES = 8192;

  // What it keeps for another capability that was given with a call, however few the bytes that
  // name it: an import, or the exception that stands for one that is not there.
  static constexpr uint64_t DESCRIPTOR_BYTES = 512;

  // What the results are taken for that the peer does not want to have, and that stay until it
  // finishes: nobody is told how large they are.
  static constexpr uint64_t UNSEEN_BYTES = 128 << 10;

  // An answer's counts with the call and, as a way, with the question: either may end first, and
  // the other still holds it.
  static uint64_t bytesOf(capnp::rpc::CapDescriptor::Reader cap) {
    return cap.isReceiverAnswer() ? PATH_BYTES : DESCRIPTOR_BYTES;
  }

  using Path = kj::Array<uint32_t>;

  kj::uint depth = 0;
  uint64_t bytes = 0;      // that it holds: of the call, then of its answer, and of its paths
  uint64_t pathBytes = 0;  // of those: the paths
  uint64_t unseen = 0;     // likewise, what it is taken to hold of results
  uint64_t given = 0;      // likewise, its capabilities
  uint64_t ways = 0;       // not of those: what others hold at most for its ways into their answers
  uint64_t brings = 0;     // capabilities
  uint64_t waits = 0;      // for so many others
  kj::Maybe<kj::StringPtr> excess = nullptr;  // the limit that the call is over by itself
  bool isLarge = false;
  bool refused = false;
  bool unanswerable = false;  // the peer wants no answer, only to pipeline on it
  bool elsewhere = false;     // its results go to the peer itself
  bool answered = false;
  bool finished = false;
  kj::Maybe<kj::Own<WaitGraph::Node>> node = nullptr;  // if it waits, or is waited for
  CapLedger::Sent results = {};                        // with its answer
  kj::Own<kj::HashSet<Path>> paths = {};               // into its answer; null: none

  // Of one that is unanswerable: what does not count any more once it is finished. The rest counts
  // for good, also of many capabilities what is above the worth of a way.
  uint64_t bytesUntilFinish() const { return unseen + pathBytes + kj::min(given, PATH_BYTES); }

  // By a call that is not answered. One that is not, and is finished, is canceled or has ended.
  bool isWaitedFor() const {
    KJ_IF_MAYBE(n, node) return (*n)->isShared();
    return false;
  }

  // That way is taken into it. How many bytes that holds more: none, if it was before.
  uint64_t addPath(capnp::List<capnp::rpc::PromisedAnswer::Op>::Reader steps);
};

}  // namespace ww
