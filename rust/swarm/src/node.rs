//! The task that owns the swarm: commands in, events out.

use crate::addresses::{self, Book};
use crate::behaviour::{self, Behaviour, BehaviourEvent, KADEMLIA, Settings};
use crate::code;
use crate::command::Command;
use crate::crowd::Crowd;
use crate::direct;
use crate::finds::{self, Finds};
use crate::half_open::ip_of;
use crate::inbox::{Event, Inbox, Kind};
use crate::keepalive::{self, KeepAlive};
use crate::listening::Listening;
use crate::live::{Live, Lost, Requests};
use crate::reach::{Asked, Reach};
use crate::reasons;
use crate::round_trip;
use crate::streams::{Opened, Whom};
use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, StreamUpgradeError, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, kad, mdns, ping};
use std::collections::HashMap;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;

/// Between dials of bootstrap peers while nobody is connected, and of relays that are gone.
const RETRY: Duration = Duration::from_secs(30);
/// To be on good terms with a peer that is left; then its connection is given up.
const TO_CLOSE: Duration = Duration::from_secs(2);
const DIALS_AT_A_TIME: NonZeroU8 = NonZeroU8::new(32).unwrap();

struct Connection {
    id: ConnectionId,
    address: Multiaddr,
}

/// A connected peer.
#[derive(Default)]
struct Peer {
    connections: Vec<Connection>,
    answered: bool,    // it said something: until then a dial is not done
    waiting: Vec<u64>, // dials
}

struct Dial {
    peer: PeerId,
    op: u64,
    _asked: Asked,
}

/// What a node is made of.
pub struct Parts {
    pub swarm: Swarm<Behaviour>,
    pub live: Arc<Live>,
    pub reach: Arc<Reach>,
    pub listening: Listening,
}

pub struct Node {
    swarm: Swarm<Behaviour>,
    inbox: Arc<Inbox>,
    bootstrap: Vec<(PeerId, Multiaddr)>,
    dials: HashMap<ConnectionId, Dial>,
    finds: Finds,
    resolving: HashMap<u64, AbortHandle>,
    peers: HashMap<PeerId, Peer>,
    book: Book,
    live: Arc<Live>,
    reach: Arc<Reach>,
    listening: Listening,
    keepalive: KeepAlive,
    crowd: Crowd,
    closing: Vec<(Instant, Arc<Requests>)>,
    sought: HashMap<PeerId, Vec<u64>>,
    direct: direct::Dialer,
}

impl Node {
    pub fn new(
        parts: Parts,
        inbox: Arc<Inbox>,
        settings: Settings,
        direct: direct::Dialer,
    ) -> Self {
        let Parts { swarm, live, reach, listening } = parts;
        Node {
            swarm,
            inbox,
            bootstrap: settings.bootstrap,
            dials: HashMap::new(),
            finds: Finds::default(),
            resolving: HashMap::new(),
            peers: HashMap::new(),
            book: Book::default(),
            live,
            reach,
            listening,
            keepalive: KeepAlive::default(),
            crowd: Crowd::default(),
            closing: Vec::new(),
            sought: HashMap::new(),
            direct,
        }
    }

    pub async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        let mut check = tokio::time::interval(keepalive::CHECK);
        let mut retry = tokio::time::interval(RETRY);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop) | None => return,
                    Some(command) => self.command(command),
                },
                event = self.swarm.select_next_some() => self.event(event),
                _ = check.tick() => self.check(Instant::now()),
                _ = retry.tick() => self.retry(),
            }
        }
    }

    fn retry(&mut self) {
        self.listening.again(&mut self.swarm);
        self.join();
    }

    /// Dials the bootstrap peers while nobody is connected.
    fn join(&mut self) {
        if !self.peers.is_empty() {
            return;
        }
        for (peer, address) in self.bootstrap.clone() {
            let options = DialOpts::peer_id(peer).addresses(vec![address]);
            let _ = self.swarm.dial(options.allocate_new_port().build());
        }
    }

    fn check(&mut self, now: Instant) {
        let live = &self.live;
        for connection in self.keepalive.mute(now, |connection| live.take_heard(connection)) {
            self.close(connection, "it gave no sign of life");
        }
        for connection in self.keepalive.to_ask(now) {
            self.live.ask(connection, ping::PROTOCOL_NAME);
        }
        self.closing.retain(|(since, requests)| {
            let late = now.saturating_duration_since(*since) >= TO_CLOSE;
            if late {
                requests.give_up();
            }
            !late
        });
    }

    /// To whoever asks it is closed from now on, however long its peer takes.
    fn close(&mut self, connection: ConnectionId, why: &str) {
        self.swarm.close_connection(connection);
        if let Some(Lost { peer, requests }) = self.live.lose(connection) {
            self.closing.push((Instant::now(), requests));
            if let Some(peer) = peer {
                self.closed(peer, connection, why);
            }
        }
    }

    /// Somebody came in: another may have to go.
    fn make_room(&mut self, newcomer: ConnectionId, from: &Multiaddr) {
        self.crowd.enter(newcomer, ip_of(from));
        let live = &self.live;
        if let Some(chosen) = self.crowd.surplus(|connection| live.is_spare(connection)) {
            self.close(chosen, "it made room for another");
        }
    }

    fn done(&self, op: u64) {
        self.inbox.push(Event::new(Kind::Done, op));
    }

    fn fail(&self, op: u64, code: u32, why: impl ToString) {
        self.inbox.push(Event::failure(op, code, why));
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Resolve { op, peer, addrs } => self.resolve(op, peer, addrs),
            Command::Dial { op, peer, addrs } => self.dial(op, peer, addrs),
            Command::Ping { op, peer } => {
                let opening = self.live.open(op, peer, round_trip::PROTOCOL, Whom::Network);
                if let Err((code, why)) = opening {
                    self.fail(op, code, why);
                }
            }
            Command::Find { op, peer } => {
                let known = self.book.find(&peer);
                if known.is_empty() {
                    self.sought.entry(peer).or_default().push(op);
                } else {
                    self.done(op);
                }
            }
            Command::Providers { op, key } => {
                self.finds.begin_providers(&mut self.swarm.behaviour_mut().kad, op, &key);
            }
            Command::Provide { key } => {
                finds::provide(&mut self.swarm.behaviour_mut().kad, &key);
            }
            Command::Direct { op, peer, addrs, protocol } => {
                self.direct.dial(op, peer, addrs, protocol);
            }
            Command::Forget { op } => {
                self.direct.forget(op);
                self.forget_dial(op);
                self.finds.forget(&mut self.swarm.behaviour_mut().kad, op);
                if let Some(resolving) = self.resolving.remove(&op) {
                    resolving.abort();
                }
                self.sought.retain(|_, ops| {
                    ops.retain(|other| *other != op);
                    !ops.is_empty()
                });
                for peer in self.peers.values_mut() {
                    peer.waiting.retain(|other| *other != op);
                }
            }
            Command::Stop => {}
        }
    }

    /// All addresses that a dial of this peer could try: the given, and those known. If there is
    /// none at all, the DHT is asked.
    fn resolve(&mut self, op: u64, peer: PeerId, mut addrs: Vec<Multiaddr>) {
        addrs.extend_from_slice(self.book.find(&peer));
        if let Some(bucket) = self.swarm.behaviour_mut().kad.kbucket(peer) {
            for entry in bucket.iter().filter(|entry| *entry.node.key.preimage() == peer) {
                addrs.extend(entry.node.value.iter().cloned());
            }
        }
        if addrs.is_empty() {
            self.finds.begin(&mut self.swarm.behaviour_mut().kad, op, peer);
        } else {
            self.resolve_names(op, addrs);
        }
    }

    fn resolve_names(&mut self, op: u64, addrs: Vec<Multiaddr>) {
        let resolving = tokio::spawn(addresses::tell_resolved(self.inbox.clone(), op, addrs));
        self.resolving.retain(|_, other| !other.is_finished());
        self.resolving.insert(op, resolving.abort_handle());
    }

    fn dial(&mut self, op: u64, peer: PeerId, addrs: Vec<Multiaddr>) {
        if let Some(known) = self.peers.get_mut(&peer) {
            if known.answered {
                self.done(op);
            } else {
                known.waiting.push(op);
            }
            return;
        }
        let asked = self.reach.ask(&addrs);
        // From a new port: two nodes that dial each other from the ports they listen on can meet in
        // one TCP connection, with two initiators.
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .override_dial_concurrency_factor(DIALS_AT_A_TIME)
            .addresses(addrs)
            .allocate_new_port()
            .build();
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials.insert(id, Dial { peer, op, _asked: asked })),
            Err(error) => self.dial_failed(op, &error),
        }
    }

    /// Ends it where nobody else waits for that peer.
    fn forget_dial(&mut self, op: u64) {
        let Some(id) = self.dials.iter().find(|(_, dial)| dial.op == op).map(|(id, _)| *id) else {
            return;
        };
        let Some(Dial { peer, .. }) = self.dials.remove(&id) else { return };
        if !self.peers.contains_key(&peer) && !self.dials.values().any(|dial| dial.peer == peer) {
            let _ = self.swarm.disconnect_peer_id(peer); // there is nothing but dials
        }
    }

    fn dial_failed(&self, op: u64, error: &DialError) {
        self.fail(op, behaviour::code_of(error), reasons::explain(error));
    }

    /// The peer said something: what waited for that is done.
    fn answered(&mut self, peer: PeerId) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.answered = true;
            for op in std::mem::take(&mut known.waiting) {
                self.done(op);
            }
        }
    }

    fn event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ExternalAddrExpired { .. } => self.tell_listening(),
            SwarmEvent::ListenerError { error, .. } => self.warn(format!("listener: {error}")),
            SwarmEvent::ListenerClosed { listener_id, reason, addresses } => {
                self.listener_closed(listener_id, addresses, reason);
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let address = endpoint.get_remote_address().clone();
                self.keepalive.opened(connection_id, Instant::now());
                if endpoint.is_listener() {
                    self.make_room(connection_id, &address);
                }
                let known = self.peers.entry(peer_id).or_default();
                known.connections.push(Connection { id: connection_id, address });
                if let Some(Dial { op, .. }) = self.dials.remove(&connection_id) {
                    if known.answered {
                        self.done(op);
                    } else {
                        known.waiting.push(op);
                    }
                }
                self.tell_peer(peer_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                let why =
                    cause.map_or("it closed the connection".to_string(), |c| reasons::chain(&c));
                self.closed(peer_id, connection_id, &why);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(Dial { peer, op, .. }) = self.dials.remove(&connection_id) {
                    match self.peers.get_mut(&peer) {
                        // It dialled us meanwhile.
                        Some(known) if known.answered => self.done(op),
                        Some(known) => known.waiting.push(op),
                        None => self.dial_failed(op, &error),
                    }
                }
            }
            SwarmEvent::Behaviour(event) => self.behaviour_event(event),
            _ => {}
        }
    }

    fn listener_closed(
        &mut self,
        listener: ListenerId,
        mut addresses: Vec<Multiaddr>,
        reason: std::io::Result<()>,
    ) {
        let relayed = self.listening.closed(listener);
        let again = if relayed.is_some() { "; it is tried again" } else { "" };
        addresses.extend(relayed.filter(|_| addresses.is_empty()));
        let places: Vec<_> = addresses.iter().map(Multiaddr::to_string).collect();
        let why = reason.err().map_or("it ended".to_string(), |e| reasons::chain(&e));
        self.warn(format!("no longer listening on {}: {why}{again}", places.join(", ")));
        self.tell_listening();
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId, why: &str) {
        self.keepalive.forget(connection);
        self.crowd.leave(connection);
        self.live.lose(connection);
        let Some(known) = self.peers.get_mut(&peer) else { return };
        let before = known.connections.len();
        known.connections.retain(|c| c.id != connection);
        if known.connections.len() == before {
            return; // closed by us, and told
        }
        if known.connections.is_empty() {
            let gone = self.peers.remove(&peer).unwrap_or_default();
            for op in gone.waiting {
                self.fail(op, code::NOT_CONNECTED, why);
            }
            let mut event = Event::new(Kind::Disconnected, 0);
            event.peer = peer.to_bytes();
            self.inbox.push(event);
        } else {
            self.tell_peer(peer);
        }
    }

    fn behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Streams(opened) => self.measure(opened),
            BehaviourEvent::Ping(event) => self.pinged(event),
            BehaviourEvent::Identify(identify::Event::Received {
                connection_id,
                peer_id,
                info,
            }) => {
                self.identified(peer_id, connection_id, info);
            }
            // No identify there: that it said so is an answer, and so is what cannot be understood.
            BehaviourEvent::Identify(identify::Event::Error {
                peer_id,
                error: StreamUpgradeError::NegotiationFailed | StreamUpgradeError::Apply(_),
                ..
            }) => self.answered(peer_id),
            BehaviourEvent::Mdns(mdns::Event::Discovered(list)) => {
                for (peer, address) in list {
                    self.book.add(peer, address);
                    for op in self.sought.remove(&peer).unwrap_or_default() {
                        self.done(op);
                    }
                }
            }
            BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            }) => {
                let kad = &mut self.swarm.behaviour_mut().kad;
                if let Some((op, peers)) = self.finds.progress(kad, id, &result, step.last) {
                    self.inbox.push(addresses::found(op, &peers));
                } else if step.last
                    && let Some((op, addrs)) = self.finds.end(id, result)
                {
                    self.resolve_names(op, addrs);
                }
            }
            _ => {}
        }
    }

    fn pinged(&mut self, event: ping::Event) {
        match event.result {
            Ok(_) => {
                self.keepalive.heard(event.connection, Instant::now());
                self.answered(event.peer);
            }
            Err(ping::Failure::Unsupported) => {
                if self.live.is_heard(event.connection) {
                    self.keepalive.has_no_ping(event.connection);
                } else {
                    self.keepalive.forget(event.connection);
                }
                self.answered(event.peer);
            }
            Err(_) => {} // keepalive decides
        }
    }

    fn identified(&mut self, peer: PeerId, connection: ConnectionId, info: identify::Info) {
        let Some(met_at) = self
            .peers
            .get(&peer)
            .and_then(|known| known.connections.iter().find(|c| c.id == connection))
            .map(|connection| connection.address.clone())
        else {
            return;
        };
        let in_dht = info.protocols.contains(&KADEMLIA);
        for address in addresses::credible(&info.listen_addrs, &met_at, &self.reach) {
            self.book.add(peer, address.clone());
            if in_dht {
                self.swarm.behaviour_mut().kad.add_address(&peer, address.clone());
            }
        }
        self.answered(peer);
    }

    /// A stream to measure a round trip on.
    fn measure(&self, opened: Opened) {
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            inbox.push(round_trip::done(opened.op, round_trip::measure(opened.stream).await));
            drop(opened.place);
        });
    }

    fn tell_listening(&self) {
        // A confirmed external address may be one that is listened on.
        let listeners: Vec<_> = self.swarm.listeners().collect();
        let others = self.swarm.external_addresses().filter(|a| !listeners.contains(a));
        let mut event = Event::new(Kind::Listening, 0);
        event.from = addresses::encode(listeners.iter().copied().chain(others));
        self.inbox.push(event);
    }

    fn tell_peer(&self, peer: PeerId) {
        let Some(known) = self.peers.get(&peer) else { return };
        let mut event = Event::new(Kind::Connected, 0);
        event.peer = peer.to_bytes();
        event.from = addresses::encode(known.connections.iter().map(|c| &c.address));
        self.inbox.push(event);
    }

    fn warn(&self, text: String) {
        let mut event = Event::new(Kind::Warning, 0);
        event.text = ww_fence::bounded(text).into_bytes();
        self.inbox.push(event);
    }
}
