//! What a swarm is asked for, and the binary forms of what crosses.

use crate::behaviour::{Dht, Settings};
use crate::other;
use libp2p::identity::Keypair;
use libp2p::multiaddr::{self, Protocol};
use libp2p::pnet::PreSharedKey;
use libp2p::swarm::StreamProtocol;
use libp2p::{Multiaddr, PeerId};
use std::slice;
use std::time::Duration;
use ww_fence::{Failure, WwBytes, WwError, WwSlice, deliver};

#[repr(C)]
pub struct WwSwarmOptions {
    pub identity: WwSlice, // libp2p's PrivateKey message
    pub agent: WwSlice,
    pub listen: *const WwSlice,
    pub listen_count: usize,
    pub bootstrap: *const WwSlice, // each ends in /p2p/ID
    pub bootstrap_count: usize,
    pub protocols: *const WwSlice, // of raw streams, that peers may open
    pub protocol_count: usize,
    pub private_network: WwSlice, // 32 bytes, or empty
    pub direct: *const WwSlice,   // /ip…/tcp/…: where direct links are served
    pub direct_count: usize,
    pub dial_timeout_ms: u64,
    pub dht: u32, // 0 auto, 1 client, 2 server
    pub mdns: bool,
    pub dial_private: bool, // for peers; see reach.rs
    pub network: bool,      // false: nothing of libp2p's but direct links
}

/// # Safety
/// `count` slices stand at `list`.
unsafe fn slices(list: *const WwSlice, count: usize) -> Vec<WwSlice> {
    if count == 0 { Vec::new() } else { unsafe { slice::from_raw_parts(list, count) }.to_vec() }
}

pub fn multiaddr(bytes: &WwSlice) -> Result<Multiaddr, Failure> {
    Multiaddr::try_from(bytes.bytes().to_vec()).map_err(other)
}

pub fn peer_id(bytes: WwSlice) -> Result<PeerId, Failure> {
    PeerId::from_bytes(bytes.bytes()).map_err(other)
}

pub fn protocol(name: &WwSlice) -> Result<StreamProtocol, Failure> {
    StreamProtocol::try_from_owned(name.text()?).map_err(other)
}

/// # Safety
/// `count` slices stand at `list`.
pub unsafe fn addrs(list: *const WwSlice, count: usize) -> Result<Vec<Multiaddr>, Failure> {
    unsafe { slices(list, count) }.iter().map(multiaddr).collect()
}

fn bootstrap(bytes: &WwSlice) -> Result<(PeerId, Multiaddr), Failure> {
    let address = multiaddr(bytes)?;
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Ok((peer, address)),
        _ => Err(other(format!("{address} does not end in /p2p/PEERID"))),
    }
}

impl WwSwarmOptions {
    /// # Safety
    /// The lists stand where they say.
    pub unsafe fn read(&self) -> Result<(Keypair, Settings), Failure> {
        let (listen, boot, protocols, direct) = unsafe {
            (
                slices(self.listen, self.listen_count),
                slices(self.bootstrap, self.bootstrap_count),
                slices(self.protocols, self.protocol_count),
                slices(self.direct, self.direct_count),
            )
        };
        let private_network = match self.private_network.bytes() {
            [] => None,
            bytes => Some(PreSharedKey::new(bytes.try_into().map_err(other)?)),
        };
        let settings = Settings {
            network: self.network,
            direct: direct.iter().map(multiaddr).collect::<Result<_, _>>()?,
            agent: self.agent.text()?,
            listen: listen.iter().map(multiaddr).collect::<Result<_, _>>()?,
            bootstrap: boot.iter().map(bootstrap).collect::<Result<_, _>>()?,
            protocols: protocols.iter().map(protocol).collect::<Result<_, _>>()?,
            private_network,
            dial_timeout: Duration::from_millis(self.dial_timeout_ms.max(1)),
            dht: [Dht::Auto, Dht::Client, Dht::Server][self.dht.min(2) as usize],
            mdns: self.mdns,
            dial_private: self.dial_private,
        };
        Ok((Keypair::from_protobuf_encoding(self.identity.bytes()).map_err(other)?, settings))
    }
}

/// What is wrong with an address, for whoever wrote it.
fn malformed(error: &multiaddr::Error) -> String {
    match error {
        multiaddr::Error::UnknownProtocolString(name) if name.is_empty() => {
            "a part of it is empty".to_string()
        }
        multiaddr::Error::UnknownProtocolString(name) => format!("there is no protocol {name}"),
        multiaddr::Error::InvalidProtocolString => "it is cut short".to_string(),
        multiaddr::Error::InvalidMultiaddr => "it does not begin with a slash".to_string(),
        multiaddr::Error::ParsingError(_) => {
            "a part of it is not the number, address or peer id that belongs there".to_string()
        }
        other => other.to_string(),
    }
}

/// The binary form of an address that a person wrote.
///
/// # Safety
/// `bytes` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_multiaddr_parse(
    text: WwSlice,
    bytes: *mut WwBytes,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            let address: Multiaddr = text.text()?.parse().map_err(|e| other(malformed(&e)))?;
            bytes.write(address.to_vec().into());
            Ok(true)
        })
    }
}
