@0xbf5147b78c0e6a2f;
# The node, and the cells that run on it. Everything here is reached through a Session
# (stem.capnp) and dies with that session's epoch.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("ww::peer");

struct PeerInfo {
  peerId @0 :Data;
  # A libp2p peer id, in binary form (a multihash).

  addrs @1 :List(Data);
  # Multiaddrs, in binary form.
}

interface Host {
  # The node as a cell sees it. It is the whole bootstrap of a child cell.

  id @0 () -> (peerId :Data);
  # This node's peer id, in binary form.

  addrs @1 () -> (addrs :List(Data));
  # The multiaddrs it listens on; none without a network.

  peers @2 () -> (peers :List(PeerInfo));
  # The peers connected now.

  connect @3 (peerId :Data, addrs :List(Data)) -> () $Cxx.allowCancellation;
  # Returns when connected to that peer, at once if it already is. A malformed id or multiaddr is
  # refused, and the failure names it; a failed dial says which address failed and why. Addresses
  # that a cell may not dial are refused with `denied:`. `overloaded:` above 32 addresses in a call,
  # and above 8 dials at a time and 60 a minute, over all the sessions of one Membrane's holder.

  executor @4 () -> (executor :Executor);
  # Runs further cells, as children of the cell that asks.
}

interface Executor {
  # Starts cells. What it starts belongs to the caller: it ends when the caller's cell ends, and a
  # grace after the session has ended.

  runBytes @0 (wasm :Data, args :List(Text), env :List(Text)) -> (process :Process);
  # Runs a WebAssembly component (WASI 0.2, exporting wasi:cli/run). Returns once it is
  # instantiated. `args` is its argument list, verbatim: nothing is put in front. `env` is
  # `KEY=VALUE` each; the value starts behind the first `=`. Its standard streams are pipes; its
  # bootstrap capability is a Host of this same session. Fails, saying what and where, on bytes
  # that are no component, on imports that the host does not have, on an argument or variable that
  # is not UTF-8 or holds a NUL, on a variable without `=`, and on a component that traps at its
  # start or takes more than 5 s for it. `overloaded:` above 48 MiB of wasm, above 4,096 texts or
  # 1 MiB in either list, while 1,024 cells of this parent are held (ended ones among them: drop
  # their Process; of a key, over all its links, 256), while 64 run in this session, in the 8th
  # generation, where compiling takes more than 10 s or 1 GiB, and while the node has too many cells
  # or too much to compile.

  echo @1 (message :Text) -> (response :Text);
  # Answers `Echo: ` and the message.

  cells @2 () -> (cells :Cells);
  # The caller's own cells: those that a cell started, and their descendants; those of all sessions
  # of a client's key; for the node's owner, all.
}

interface Cells {
  # Some of a node's cells: those that run, and those among the last 64 of each loop that ended.

  list @0 () -> (cells :List(CellInfo));
  # By number.

  find @1 (id :UInt64) -> (process :Process, info :CellInfo);
  # One of them; no process once it has ended. Fails, naming the number, if there is none here.

  log @2 (id :UInt64, follow :Bool) -> (stream :ByteStream);
  # What a detached cell wrote to stdout and stderr, together, of which the node keeps the last
  # 256 KiB; with `follow` the stream goes on until the cell has ended. Fails for a cell that is
  # not detached: its output is for whoever started it.
}

struct CellInfo {
  id @0 :UInt64;
  # Of this node's run, from 1.

  parent @1 :UInt64;
  # The cell that started it; 0 if a client did, or the node itself.

  session @2 :UInt64;
  # The session that it was started through: SessionInfo.id in node.capnp. 0: the node's own, pid0.

  component @3 :Text;
  # The content id of the component's bytes, as one block: version 1, raw, blake3, in base32.

  args @4 :List(Text);
  # The first 1 KiB of them.

  startedAtMs @5 :Int64;
  # Unix time, in milliseconds.

  detached @6 :Bool;

  state :union {
    running @7 :Void;
    exitCode @8 :Int32;
  }

  cause @9 :Text;
  # Why it trapped, in one line; empty if it did not.

  memoryBytes @10 :UInt64;
  memoryPeakBytes @11 :UInt64;
  # Of its linear memories, and what its instances, its arguments and its variables have beside them
  # above 64 KiB, now and at most;
  # what its children have is not in it, though it counts against its limit.

  cpuNs @12 :UInt64;
  # What it has computed.

  children @13 :UInt32;
  # That run.

  limitHits @14 :UInt64;
  # How often it was refused something, or ended, since it had as much of it as it may.

  bytesIn @15 :UInt64;
  bytesOut @16 :UInt64;
  # That it was given and that it wrote, over its connection and its stdio, those included that
  # nobody read.
}

interface Process {
  # One running cell. Dropping it gives up this handle and nothing else.

  stdin @0 () -> (stream :ByteStream);
  stdout @1 () -> (stream :ByteStream);
  stderr @2 () -> (stream :ByteStream);
  # The cell's pipes; every call gives the same one. While a wait() is pending and nobody holds
  # stdout (or stderr), what the cell writes there beyond the pipe's capacity is dropped, so that
  # output nobody reads cannot keep the cell from ending.

  wait @3 () -> (exitCode :Int32) $Cxx.allowCancellation;
  # Returns when the cell has ended; any number of callers, before or after, get the same answer:
  # 0 `run` returned ok or the cell exited with ok, 1 it returned an error, N it exited with code
  # N, 134 it trapped, 137 it was killed, 124 it was out of time or of its CPU budget.

  kill @4 () -> ();
  # Ends the cell and all of its descendants; wait() then answers 137. Does nothing once the cell
  # has ended.

  info @5 () -> (info :CellInfo);

  detach @6 () -> (id :UInt64);
  # For a client's cell: it outlives the link of the session that started it, though not the
  # session's epoch or key. From now on the node reads its output, into a log of 256 KiB
  # (Cells.log), and shares it with whoever else still does. Answers the cell's number.
  # `denied:` for a cell that another cell started, which ends with its parent, and for pid0.
  # `overloaded:` above 64 running ones of a key.
}

interface ByteStream {
  # One end of a pipe, by default of 64 KiB.

  read @0 (maxBytes :UInt32) -> (data :Data) $Cxx.allowCancellation;
  # Waits for at least one byte and returns at most `maxBytes` (and at most 64 KiB, whatever is
  # asked). Empty data is end of file, for ever. `maxBytes` of 0 returns empty at once. Fails on
  # stdin, which is written to. A read that is given up while it waits takes nothing;
  # one that is given up as bytes arrive may lose them. Of one stream 16 reads wait at a time; one
  # more fails with `overloaded: reads`.

  write @1 (data :Data) -> ();
  # Returns when the pipe has taken all of it, so that awaiting it is back-pressure. Fails after
  # close(), on stdout and stderr, saying which, and with `ended:` on a cell that no longer reads.

  close @2 () -> ();
  # On stdin: the cell reads end of file once it has read what was written (dropping the last
  # reference does the same). On stdout and stderr: reads give end of file, and the cell's next
  # write finds a closed stream. Again, or after the cell's end: does nothing.
}
