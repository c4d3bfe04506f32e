@0xa59e04af26eca82f;
# What a Session carries on this kind of node.

using Cxx = import "/capnp/c++.capnp";
using Node = import "node.capnp";
using Peer = import "peer.capnp";
using Stem = import "stem.capnp";
$Cxx.namespace("ww::membrane");

struct WetwareSession {
  # The extension in `Stem.Membrane(WetwareSession)`, which is pid0's bootstrap capability.

  host @0 :Peer.Host;
  executor @1 :Peer.Executor;

  node @2 :Node.Node;
  # Null but for the node's owner, and for keys that the operator allowed as `KEY,node`.
}
