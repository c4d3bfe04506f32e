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
# After `overloaded:` comes the name of the limit. Those of one connection: `calls` (1,000
# unanswered), `answers` (1,000 that were not finished), `heldBytes` (16 MiB by both), `message` (a
# call above 8 MiB, but for runBytes), `pipelining` (64 steps in a chain, calls and fields of their
# answers) and `exports` (10,000 capabilities that one side has sent and the other not released):
# such a call is refused, and nothing else. At four times heldBytes or exports, with 4,000 refused
# calls not finished, with more unread than 32 MiB, with a message above 64 MiB, or with one that
# was begun and does not go on for 10 s, the connection is ended. Others stand where they apply, and
# all in docs/security.md.

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
  # Signs `nonce` for the purpose named by `domain`, with Ed25519 (RFC 8032).
  #
  # What is signed: the UTF-8 bytes of `domain`, one zero byte, and `nonce` in 8 bytes, the greatest
  # first. What is answered, 96 bytes: the public key (32), then its signature (64).
  #
  # graft() asks for the domain `ww.membrane.graft.v1/<node>/<epoch>`: the node's peer id in base58
  # and the current Epoch's `seq` in decimal. The nonce is random, and good for that one graft. Sign
  # nothing for another node than the one at the other end of the connection, or for a purpose that
  # you do not know; refuse with `denied:`. graft() waits 5 seconds for the answer. It takes only
  # signatures that are the one spelling of themselves: S is below the group's order, the key's y is
  # below 2^255 - 19, and neither key nor R is of small order.
  #
  # An example, in hex but for the node and the decimal epoch:
  #   seed      9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60
  #   node      12D3KooWDwTirQce1RRKnasT5fPVFgzXCy6SiRgSwrwPGLC7zE91
  #   epoch     42
  #   nonce     0123456789abcdef
  #   sig       d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a
  #             9cafe7a2537f8b1cb9ea790342c1c421d423edeb7ef86f6b7a1d38f2a6060fd4
  #             b372f781283d7cf76796efafbc81f6d1bbac32b93a06dfb6e2d2d8730daabb08
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
  # signed one (a remote client's) asks the signer, and takes keys that its node allows. Fails with
  # `unauthorized:` when this graft is refused, or when the epoch moved while the signer was asked
  # (graft again), and with `epochPending:` while the epoch is known but its image is not here yet,
  # or while the node waits for the chain that gives its first.
  # `overloaded:` while 64 sessions of this Membrane stand, or 1,024 are held; dropping what a
  # session gave makes room.
}
