@0x9bce094a026970c4;
# Epochs, and the door to a session: what the rest of the system stands on.
#
# A node follows one *head*: a value that somebody may set, such as an on-chain contract's. Each
# value of the head is an *epoch*. All authority that a cell has was handed out in some epoch, and
# ends with it: a Membrane gives out a Session, and once the head moves, every capability that was
# reached through that Session fails with `staleEpoch: issued N, current M` (type `failed`),
# whether it is called afterwards, waits in a queue, or is being served at that moment. The
# Membrane itself outlives epochs; graft again.
#
# Failures that callers may match on begin with a word and a colon: `staleEpoch:`, `epochPending:`,
# `unauthorized:`, `revoked:`, `ended:`, `denied:` (all of type `failed`) and `overloaded:` (of
# type `overloaded`; later, or less). A C++ receiver puts `remote exception: ` in front.
#
# On one connection 1,000 calls of 128 MiB in all may be unanswered, and 64 steps (calls, and fields
# of their answers) pipelined in a chain; those beyond are refused with `overloaded: calls`,
# `overloaded: callBytes` and `overloaded: depth`. A connection on which 4,000 refused calls wait to
# be finished is ended.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("ww::stem");

struct Epoch {
  # One value of the head.

  seq @0 :UInt64;
  # Counts the head's values. Never goes back. A node without a chain is at 0 for ever.

  head @1 :Data;
  # The value itself, in binary form; empty without a chain.

  adoptedBlock @2 :UInt64;
  # The block at which this head was final; 0 without a chain.
}

enum Status {
  ok @0;
  unauthorized @1;
  internalError @2;
}

interface Signer {
  # A caller's proof of identity, asked during graft() where the Membrane wants one.

  sign @0 (domain :Text, nonce :UInt64) -> (sig :Data);
  # Signs `nonce` for the purpose named by `domain`.
}

interface StatusPoller {
  # Lets a session's holder ask, cheaply, whether the session still stands.

  pollStatus @0 () -> (status :Status);
  # `ok` while the session's epoch is current; afterwards the `staleEpoch:` failure.
}

struct Session(Extension) {
  # What one graft hands out, all of it good for one epoch only.

  issuedEpoch @0 :Epoch;
  # The epoch in which the session was minted.

  statusPoller @1 :StatusPoller;
  # May be null.

  extension @2 :Extension;
  # The authority itself: a WetwareSession, on a node of this kind.
}

interface Membrane(SessionExt) {
  # The one capability that a fresh pid0 has. It outlives every epoch.

  graft @0 (signer :Signer) -> (session :Session(SessionExt));
  # Mints a Session under the current epoch. An open Membrane (pid0's) takes a null signer; a
  # signed one (a remote client's) asks the signer. Fails with `unauthorized:` when this graft is
  # refused, and with `epochPending:` while the epoch is known but its image is not here yet.
  # `overloaded:` while 64 sessions of this Membrane stand, or 1,024 are held; dropping what a
  # session gave makes room.
}
