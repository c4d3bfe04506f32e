@0xd0b4a5f8b1c6e372;
# What the revocation tests call: every way in which a capability can be reached, kept and passed
# on. As an Executor it fits where a session's executor goes.

using Cxx = import "/capnp/c++.capnp";
using Peer = import "/peer.capnp";
$Cxx.namespace("ww::probe");

interface Probe extends(Peer.Executor) {
  touch @0 () -> ();
  # Two effects, one at once and one a few turns later.

  park @1 () -> ();
  # The same, and the second waits until the test opens the gate.

  same @2 () -> (probe :Probe);
  other @3 () -> (probe :Probe);
  # This very object; a new one.

  late @4 () -> (probe :Probe);
  # This very object, once the test opens the gate.

  keep @5 (probe :Probe) -> ();
  kept @6 () -> (probe :Probe);
  # The node keeps one capability, beyond any session, and gives it back.

  callBack @7 (probe :Probe) -> ();
  # Touches the caller's object, a turn later.

  moveHead @8 () -> ();
  # The node's head moves from within this body, between its two effects.
}
