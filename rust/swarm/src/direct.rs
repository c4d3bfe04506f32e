//! Direct links: one protocol on one TCP connection of its own, for those who want no swarm. Each
//! is libp2p's upgrade of a connection (multistream-select, Noise XX with both identities), with
//! the protocol itself agreed on where a muxer would be.
//!
//! Nothing pings on such a link: TCP's own keep-alive notices, within [`MUTE`] and a moment, that a
//! peer's machine is gone, and its user time-out that a peer does not take what it is sent.
//!
//! Handshakes are done here, on the network's thread; what follows is sealed and opened by the
//! thread that polls the stream.

use crate::addresses;
use crate::behaviour::Settings;
use crate::code;
use crate::command::Command;
use crate::half_open::victim;
use crate::inbox::{Event, Inbox, Kind};
use crate::reasons::NO_ANSWER;
use crate::stream::{Raw, WwStream};
use crate::streams::Place;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use libp2p::identity::Keypair;
use libp2p::swarm::StreamProtocol;
use libp2p::{Multiaddr, PeerId, noise};
use multistream_select::{NegotiationError, Version, dialer_select_proto, listener_select_proto};
use socket2::{SockRef, TcpKeepalive};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;
use tokio::time::timeout;

const NOISE: &str = "/noise";

/// Of those who have not proved who they are yet; a newcomer takes the place of the oldest, of the
/// address that has most of them.
const MAX_PENDING: usize = 64;
const HANDSHAKE: Duration = Duration::from_secs(10);

const MAX_LINKS: usize = 256;
/// More than may graft, so that whoever is one too many can be told.
const MAX_LINKS_OF_A_PEER: usize = 26;

const MUTE: Duration = Duration::from_secs(13);
const PROBE_AFTER: Duration = Duration::from_secs(5);
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
const PROBES: u32 = 4;

/// After a failure to accept: out of descriptors, and others may end.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_INTERVAL)
        .with_retries(PROBES);
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(MUTE))
}

fn wrap(socket: TcpStream) -> libp2p::tcp::tokio::TcpStream {
    libp2p::tcp::tokio::TcpStream(socket)
}

/// Listens where the settings say, from now on. Fails with the address.
pub fn begin(
    key: &Keypair,
    settings: &Settings,
    inbox: &Arc<Inbox>,
) -> Result<Dialer, (Multiaddr, io::Error)> {
    let noise = noise::Config::new(key).map_err(|e| (Multiaddr::empty(), io::Error::other(e)))?;
    let mut bound = Vec::new();
    for address in &settings.direct {
        let listener = bind(address).map_err(|e| (address.clone(), e))?;
        bound.push(addresses::of_tcp_place(listener.1));
        let server = Arc::new(Server {
            noise: noise.clone(),
            protocols: settings.protocols.clone(),
            inbox: inbox.clone(),
            links: Links::default(),
        });
        tokio::spawn(accept(listener.0, server));
    }
    if !bound.is_empty() {
        let mut event = Event::new(Kind::Direct, 0);
        event.from = addresses::encode(&bound);
        inbox.push(event);
    }
    Ok(Dialer {
        noise,
        inbox: inbox.clone(),
        timeout: settings.address_timeout(),
        dials: HashMap::new(),
    })
}

fn bind(address: &Multiaddr) -> io::Result<(TcpListener, SocketAddr)> {
    let unusable = || io::Error::other("no address of the form /ip4/IP/tcp/PORT");
    let listener =
        std::net::TcpListener::bind(addresses::tcp_place(address).ok_or_else(unusable)?)?;
    listener.set_nonblocking(true)?;
    let place = listener.local_addr()?;
    Ok((TcpListener::from_std(listener)?, place))
}

/// Those that are up, counted by whom they are to.
#[derive(Default)]
struct Links {
    all: Arc<AtomicUsize>,
    of: std::sync::Mutex<HashMap<PeerId, Arc<AtomicUsize>>>,
}

impl Links {
    fn take(&self, peer: PeerId) -> Option<Place> {
        let mut of = self.of.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        of.retain(|_, count| count.load(Ordering::SeqCst) > 0);
        let count = of.entry(peer).or_default();
        Place::take(&[(&self.all, MAX_LINKS), (count, MAX_LINKS_OF_A_PEER)])
    }
}

struct Server {
    noise: noise::Config,
    protocols: Vec<StreamProtocol>,
    inbox: Arc<Inbox>,
    links: Links,
}

/// Handshakes under way, the oldest first.
#[derive(Default)]
struct Pending(Vec<(IpAddr, AbortHandle)>);

impl Pending {
    fn add(&mut self, from: IpAddr, newcomer: AbortHandle) {
        self.0.retain(|(_, handshake)| !handshake.is_finished());
        if self.0.len() >= MAX_PENDING {
            let sources: Vec<_> = self.0.iter().map(|(from, _)| Some(*from)).collect();
            if let Some(chosen) = victim(&sources) {
                self.0.remove(chosen).1.abort();
            }
        }
        self.0.push((from, newcomer));
    }
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    let mut pending = Pending::default();
    loop {
        match listener.accept().await {
            Ok((socket, from)) => {
                // Of a listener on [::], IPv4 ones look like addresses of one IPv6 network.
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                let welcome = server.clone().welcome(socket, from);
                let handshake = tokio::spawn(timeout(HANDSHAKE, welcome));
                pending.add(from.ip(), handshake.abort_handle());
            }
            Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
        }
    }
}

impl Server {
    /// Whoever fails finds a closed connection.
    async fn welcome(self: Arc<Self>, socket: TcpStream, from: SocketAddr) -> Option<()> {
        tune(&socket).ok()?;
        let (_, io) = listener_select_proto(wrap(socket), [NOISE]).await.ok()?;
        let (peer, io) = self.noise.clone().upgrade_inbound(io, NOISE).await.ok()?;
        let (protocol, io) = listener_select_proto(io, self.protocols.clone()).await.ok()?;
        let place = self.links.take(peer)?;
        let stream = WwStream::new(Box::new(io), true, &self.inbox, place);
        let mut event = Event::new(Kind::Inbound, stream.id);
        event.peer = peer.to_bytes();
        event.text = protocol.as_ref().as_bytes().to_vec();
        event.from = addresses::of_tcp_place(from).to_string().into_bytes();
        event.stream = Some(stream);
        self.inbox.push(event);
        Some(())
    }
}

/// Dials direct links, for whoever asks by a command.
pub struct Dialer {
    noise: noise::Config,
    inbox: Arc<Inbox>,
    timeout: Duration,
    dials: HashMap<u64, AbortHandle>,
}

impl Dialer {
    /// All addresses at once; the first that leads to the peer wins.
    pub fn dial(&mut self, op: u64, peer: PeerId, addrs: Vec<Multiaddr>, protocol: StreamProtocol) {
        self.dials.retain(|_, dial| !dial.is_finished());
        let (noise, inbox, limit) = (self.noise.clone(), self.inbox.clone(), self.timeout);
        let dial = tokio::spawn(async move {
            let dialled = first(noise, peer, addrs, protocol, limit).await;
            let event = match dialled {
                Ok(raw) => {
                    let mut event = Event::new(Kind::Done, op);
                    event.stream = Some(WwStream::new(raw, true, &inbox, Place::free()));
                    event
                }
                Err(why) => Event::failure(op, code::FAILED, why),
            };
            inbox.push(event);
        });
        self.dials.insert(op, dial.abort_handle());
    }

    pub fn forget(&mut self, op: u64) {
        if let Some(dial) = self.dials.remove(&op) {
            dial.abort();
        }
    }
}

async fn first(
    noise: noise::Config,
    peer: PeerId,
    addrs: Vec<Multiaddr>,
    protocol: StreamProtocol,
    limit: Duration, // of each address
) -> Result<Box<dyn Raw>, String> {
    let resolving = timeout(limit, addresses::resolve(addrs));
    let (found, mut failures) = resolving.await.map_err(|_| "its name was not resolved in time")?;
    let mut attempts: FuturesUnordered<_> = found
        .into_iter()
        .map(|address| {
            let (noise, protocol) = (noise.clone(), protocol.clone());
            async move {
                let attempt = timeout(limit, attempt(noise, peer, &address, protocol));
                let outcome = attempt.await.unwrap_or_else(|_| Err(NO_ANSWER.to_string()));
                outcome.map_err(|why| format!("{address}: {why}"))
            }
        })
        .collect();
    while let Some(outcome) = attempts.next().await {
        match outcome {
            Ok(raw) => return Ok(raw),
            Err(why) => failures.push(why),
        }
    }
    Err(if failures.is_empty() { "no address is known".to_string() } else { failures.join("; ") })
}

async fn attempt(
    noise: noise::Config,
    peer: PeerId,
    address: &Multiaddr,
    protocol: StreamProtocol,
) -> Result<Box<dyn Raw>, String> {
    let place = addresses::tcp_place(address).ok_or("direct links go over TCP alone")?;
    let socket = TcpStream::connect(place).await.map_err(|e| e.to_string())?;
    tune(&socket).map_err(|e| e.to_string())?;
    let (_, io) = dialer_select_proto(wrap(socket), [NOISE], Version::V1Lazy)
        .await
        .map_err(|e| e.to_string())?;
    let (found, io) = noise.upgrade_outbound(io, NOISE).await.map_err(|e| e.to_string())?;
    if found != peer {
        return Err(format!("another peer answers there: {found}"));
    }
    match dialer_select_proto(io, [protocol.clone()], Version::V1).await {
        Ok((_, io)) => Ok(Box::new(io)),
        Err(NegotiationError::Failed) => Err(format!("it does not serve {protocol} there")),
        Err(error) => Err(error.to_string()),
    }
}

/// In place of a swarm: direct links are all there is.
pub async fn run(mut dialer: Dialer, mut commands: UnboundedReceiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Stop => return,
            Command::Forget { op } => dialer.forget(op),
            Command::Direct { op, peer, addrs, protocol } => {
                dialer.dial(op, peer, addrs, protocol);
            }
            Command::Resolve { op, .. }
            | Command::Dial { op, .. }
            | Command::Ping { op, .. }
            | Command::Find { op, .. }
            | Command::Providers { op, .. } => {
                let why = "this node has no network";
                dialer.inbox.push(Event::failure(op, code::NOT_CONNECTED, why));
            }
            Command::Provide { .. } => {} // nobody asks
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newcomer_takes_the_place_of_the_oldest_of_whoever_has_most() {
        let mut pending = Pending::default();
        let mut tasks = Vec::new();
        for i in 0..=MAX_PENDING {
            let task = tokio::spawn(std::future::pending::<()>());
            let from = [192, 0, 2, if i == 0 { 1 } else { 2 }];
            pending.add(from.into(), task.abort_handle());
            tasks.push(task);
        }
        tokio::task::yield_now().await;
        let finished: Vec<_> = (0..=MAX_PENDING).filter(|i| tasks[*i].is_finished()).collect();
        assert_eq!(finished, [1]);
        assert_eq!(pending.0.len(), MAX_PENDING);
    }

    #[tokio::test]
    async fn each_end_proves_who_it_is_and_a_wrong_one_is_left() {
        let [server_key, client_key] = [1, 2].map(|_| Keypair::generate_ed25519());
        let [server_id, client_id] = [&server_key, &client_key].map(|k| k.public().to_peer_id());
        let protocol = StreamProtocol::new("/test/1");
        let inbox = Inbox::unheard();
        let server = Arc::new(Server {
            noise: noise::Config::new(&server_key).unwrap(),
            protocols: vec![protocol.clone()],
            inbox: inbox.clone(),
            links: Links::default(),
        });
        let (listener, place) = bind(&"/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        tokio::spawn(accept(listener, server));
        let dial = async |peer, protocol| {
            let noise = noise::Config::new(&client_key).unwrap();
            attempt(noise, peer, &addresses::of_tcp_place(place), protocol).await
        };
        let why = dial(client_id, protocol.clone()).await.err().unwrap();
        assert_eq!(why, format!("another peer answers there: {server_id}"));
        let why = dial(server_id, StreamProtocol::new("/test/2")).await.err().unwrap();
        assert_eq!(why, "it does not serve /test/2 there");
        assert!(inbox.take().is_empty(), "nobody came in");
        let _stream = dial(server_id, protocol).await.ok().unwrap();
        let event = loop {
            match inbox.take().pop_front() {
                Some(event) => break event,
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!(event.peer, client_id.to_bytes());
        assert_eq!(event.text, b"/test/1");
    }

    #[test]
    fn links_are_counted_and_forgotten() {
        let links = Links::default();
        let peer = PeerId::random();
        let mut held: Vec<_> = std::iter::from_fn(|| links.take(peer)).collect();
        assert_eq!(held.len(), MAX_LINKS_OF_A_PEER);
        held.extend(std::iter::from_fn(|| links.take(PeerId::random())));
        assert_eq!(held.len(), MAX_LINKS);
        drop(held);
        assert!(links.take(peer).is_some());
        assert_eq!(links.of.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_mute_peer_is_noticed_within_15_s() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tune(&socket).unwrap();
        let set = SockRef::from(&socket);
        assert!(set.keepalive().unwrap());
        let probing = set.tcp_keepalive_interval().unwrap() * set.tcp_keepalive_retries().unwrap();
        assert!(set.tcp_keepalive_time().unwrap() + probing <= Duration::from_secs(15));
        let user = set.tcp_user_timeout().unwrap();
        assert!(user.is_some_and(|time| time <= Duration::from_secs(15)));
    }
}
