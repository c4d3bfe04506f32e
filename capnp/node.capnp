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

  epoch @3 () -> (info :EpochInfo);
  # The node's current epoch, and where it comes from.

  keepImage @4 (cid :Data) -> (blocks :UInt64, bytes :UInt64) $Cxx.allowCancellation;
  # Has the node fetch the image with this content id, in its binary form, and pin it: from its
  # store, from the caller, where that is a peer with bitswap, and then from whoever the node would
  # ask for any. Returns once all of it is on the disk: what is kept of it. Fails where it is no
  # image that could be run, where the node's pinned images and those that are being kept would
  # take more than half of its store (what several that are pinned share counts once), where it
  # keeps none, and with `overloaded: images` while another call of this session, or several of
  # others, are at it. No call takes it back: who runs the node unpins and removes images there
  # (`ww image unpin`, `ww image rm`), while it runs too.

  keeping @5 () -> (steps :UInt64);
  # How far this session's keepImage() has come. It is another number as long as the node gets on
  # with it, and tells nothing else; 0 where none is under way.
}

struct EpochInfo {
  # What authority is good for now.

  epoch @0 :Stem.Epoch;

  source :union {
    local @1 :Void;
    # No chain: the epoch moves when the node's owner moves it, if ever.

    chain @2 :ChainInfo;
    # A Stem contract.
  }
}

struct ChainInfo {
  # How far a contract's head is followed, and by whose word.

  contract @0 :Data;
  # Its address, 20 bytes.

  chainId @1 :UInt64;

  finality @2 :Text;
  # From which block on a head counts: `finalized`, `safe` or `depth:K`.

  quorum @3 :UInt32;
  # So many providers have to agree.

  latest @4 :UInt64;
  # The newest block that a quorum has reached.

  final @5 :UInt64;
  # The newest final one that the node acted upon. Its lag is the difference.

  pendingSeq @6 :UInt64;
  # Of the newest head that a provider told of and that is not final yet; 0 if there is none. Not
  # to be relied on.

  providers @7 :List(ProviderInfo);

  problem @8 :Text;
  # Why this may be old; empty if nothing is known against it.
}

struct ProviderInfo {
  # One provider of the chain.

  name @0 :Text;
  # Scheme, host and port; what may be secret in its URL is left out.

  state @1 :State;
  enum State {
    unknown @0;    # it has not answered yet
    answers @1;
    fails @2;      # it is asked again, later each time
    lacks @3;      # it is of another chain, or has no such final block
    disagrees @4;  # with a quorum, since it last voted
    frozen @5;     # its latest block has not moved, and a quorum's has
  }

  problem @2 :Text;
  # For a person; empty if there is none.

  latest @3 :UInt64;
  final @4 :UInt64;
  # Blocks, 0 while it does not answer.

  failures @5 :UInt64;
  disagreements @6 :UInt64;
  # How often, since the node's start.
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
