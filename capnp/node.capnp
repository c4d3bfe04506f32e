@0xcf2776728564e374;
# What a node's owner sees of it, beyond what any session has. A session carries a Node only for
# those whom the operator trusts with it: the owner, on the node's local socket, and keys that are
# allowed as `KEY,node`. pid0, cells and other keys have none.

using Cxx = import "/capnp/c++.capnp";
using Peer = import "peer.capnp";
using Stem = import "stem.capnp";
$Cxx.namespace("ww::node");

interface Node {
  cells @0 () -> (cells :Peer.Cells);
  # All cells of the node: those that run, and the last ones that ended.

  sessions @1 () -> (sessions :List(SessionInfo));
  # Who holds what: every session of which somebody holds something, ended ones among them.

  ping @2 (peerId :Data) -> (roundTripNs :UInt64) $Cxx.allowCancellation;
  # The time to a connected peer and back, by libp2p's own ping. Fails if it is not connected.
}

struct SessionInfo {
  # One graft that was granted.

  id @0 :UInt64;
  # Of this node's run, from 1. Cells name it in CellInfo.session.

  epoch @1 :Stem.Epoch;
  # The epoch in which it was minted.

  holder :union {
    cell @2 :UInt64;
    # A cell's: pid0.

    owner @3 :Void;
    # The node's owner, on the local socket.

    key @4 :Data;
    # A client's key: its Ed25519 peer id, in binary form.
  }

  origin @5 :Text;
  # Where the link came from, for a person: the peer id and address of a remote one, else empty.

  hasNode @6 :Bool;
  # Whether it carries a Node beside Host and Executor.

  ended @7 :Text;
  # Why it has ended, as calls on it are told; empty while it stands.

  detached @8 :Bool;
  # Its link is gone, and cells that were detached keep it.
}
