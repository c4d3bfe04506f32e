//! What the loop tells the network's thread.

use libp2p::swarm::StreamProtocol;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc::UnboundedSender;

pub enum Command {
    Resolve {
        op: u64,
        peer: PeerId,
        addrs: Vec<Multiaddr>,
    },
    Dial {
        op: u64,
        peer: PeerId,
        addrs: Vec<Multiaddr>,
    },
    Ping {
        op: u64,
        peer: PeerId,
    },
    /// Until an address of the peer is known.
    Find {
        op: u64,
        peer: PeerId,
    },
    /// Who says in the DHT that it has this.
    Providers {
        op: u64,
        key: Vec<u8>,
    },
    /// From now on we do.
    Provide {
        key: Vec<u8>,
    },
    Direct {
        op: u64,
        peer: PeerId,
        addrs: Vec<Multiaddr>,
        protocol: StreamProtocol,
    },
    Forget {
        op: u64,
    },
    Stop,
}

/// The channel's end that the loop holds.
pub type Commands = UnboundedSender<Command>;
