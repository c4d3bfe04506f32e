//! What a node does on the network, part by part; transport.rs has what it does that over.

use crate::code;
use crate::keepalive;
use crate::live::Live;
use crate::reach::{Reach, Restrained};
use crate::streams;
use crate::task;
use crate::transport;
use crate::watch::Watch;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::pnet::PreSharedKey;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{Config, NetworkBehaviour, StreamProtocol, Swarm};
use libp2p::{
    Multiaddr, PeerId, SwarmBuilder, autonat, dcutr, identify, kad, mdns, noise, ping, relay,
};
use libp2p_memory_connection_limits as memory_limits;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

pub const KADEMLIA: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");

/// The protocol that other implementations ask identify for before they talk of the IPFS DHT.
const PROTOCOL_VERSION: &str = "ipfs/0.1.0";

/// go-libp2p's figures. Inbound handshakes have their own room: see half_open.rs.
pub const MAX_INBOUND: u32 = 64;
const MAX_OUTBOUND: u32 = 128;
const MAX_A_PEER: u32 = 8;
const MAX_PENDING_OUTBOUND: u32 = 64;

/// Of the machine's memory: above it no connection is taken.
const MAX_MEMORY_SHARE: f64 = 0.9;

/// What others may put into the DHT here: what IPFS has there is far smaller.
const MAX_RECORDS: usize = 1024;
const MAX_RECORD_BYTES: usize = 10 << 10;

const IDLE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dht {
    /// A server once an address of ours is known to be reachable from outside.
    Auto,
    Client,
    Server,
}

pub struct Settings {
    pub network: bool, // else nothing but direct links
    pub direct: Vec<Multiaddr>,
    pub agent: String,
    pub listen: Vec<Multiaddr>,
    pub bootstrap: Vec<(PeerId, Multiaddr)>,
    pub protocols: Vec<StreamProtocol>,
    pub private_network: Option<PreSharedKey>,
    pub dial_timeout: Duration,
    pub dht: Dht,
    pub mdns: bool,
    pub dial_private: bool,
}

impl Settings {
    /// Of each address, before the dial's own time is over: so that its failure can name them all.
    pub fn address_timeout(&self) -> Duration {
        self.dial_timeout - self.dial_timeout / 20
    }
}

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    limits: connection_limits::Behaviour, // first: what it refuses, the others never see
    memory: memory_limits::Behaviour,
    pub streams: streams::Behaviour,
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub kad: kad::Behaviour<kad::store::MemoryStore>,
    pub mdns: Toggle<mdns::tokio::Behaviour>,
    autonat_client: autonat::v2::client::Behaviour,
    autonat_server: autonat::v2::server::Behaviour,
    relay: relay::client::Behaviour,
    dcutr: dcutr::Behaviour,
}

fn connection_limits() -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_outgoing(Some(MAX_PENDING_OUTBOUND))
        .with_max_established_incoming(Some(MAX_INBOUND))
        .with_max_established_outgoing(Some(MAX_OUTBOUND))
        .with_max_established_per_peer(Some(MAX_A_PEER))
}

fn behaviour(
    key: &Keypair,
    relay: relay::client::Behaviour,
    settings: &Settings,
    live: Arc<Live>,
) -> Result<Behaviour, Box<dyn Error + Send + Sync>> {
    let me = key.public().to_peer_id();
    let records = kad::store::MemoryStoreConfig {
        max_records: MAX_RECORDS,
        max_value_bytes: MAX_RECORD_BYTES,
        ..Default::default()
    };
    let records = kad::store::MemoryStore::with_config(me, records);
    let mut kad = kad::Behaviour::with_config(me, records, kad::Config::new(KADEMLIA));
    match settings.dht {
        Dht::Auto => kad.set_mode(None),
        Dht::Client => kad.set_mode(Some(kad::Mode::Client)),
        Dht::Server => kad.set_mode(Some(kad::Mode::Server)),
    }
    for (peer, address) in &settings.bootstrap {
        kad.add_address(peer, address.clone());
    }
    let mdns = settings
        .mdns
        .then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), me))
        .transpose()?;
    let identify = identify::Config::new(PROTOCOL_VERSION.into(), key.public())
        .with_agent_version(settings.agent.clone());
    let ping = ping::Config::new()
        .with_interval(keepalive::PING_INTERVAL)
        .with_timeout(keepalive::PING_TIMEOUT);
    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(connection_limits()),
        memory: memory_limits::Behaviour::with_max_percentage(MAX_MEMORY_SHARE),
        streams: streams::Behaviour::new(settings.protocols.clone(), live),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        kad,
        mdns: mdns.into(),
        autonat_client: Default::default(),
        autonat_server: Default::default(),
        relay,
        dcutr: dcutr::Behaviour::new(me),
    })
}

pub fn build(
    key: Keypair,
    settings: &Settings,
    watch: &Arc<Watch>,
    live: Arc<Live>,
    reach: Arc<Reach>,
) -> Result<Swarm<Behaviour>, Box<dyn Error>> {
    let timeout = settings.address_timeout();
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_other_transport(|key| {
            let transport = match settings.private_network {
                Some(shared) => transport::private(key, shared, timeout, watch),
                None => transport::public(key, timeout, watch),
            };
            transport.map(|transport| Restrained::new(transport, reach))
        })?
        .with_dns()?
        .with_relay_client(noise::Config::new, transport::muxer)?
        .with_behaviour(|key, relay| behaviour(key, relay, settings, live))?
        .with_swarm_config(|_| {
            Config::with_executor(task::executor()).with_idle_connection_timeout(IDLE)
        })
        .with_connection_timeout(timeout)
        .build();
    Ok(swarm)
}

/// Which of the codes a failed dial has.
pub fn code_of(error: &libp2p::swarm::DialError) -> u32 {
    use libp2p::swarm::DialError;
    match error {
        DialError::Denied { .. } => code::OVERLOADED,
        _ => code::FAILED,
    }
}
