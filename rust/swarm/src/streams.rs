//! Raw streams on named protocols, under limits: so many inbound ones in all and a peer, the
//! surplus reset, and so many outbound ones a connection, so that the opener stays below the
//! muxer's limit, which would end the connection.

use crate::code;
use crate::live::Live;
use libp2p::PeerId;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr, transport::PortUse};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId,
    DialFailure, FromSwarm, ListenFailure, NetworkBehaviour, NotifyHandler, Stream, StreamProtocol,
    StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

pub const MAX_INBOUND: usize = 1024;
pub const MAX_INBOUND_A_PEER: usize = 256;
pub const MAX_OUTBOUND_A_CONNECTION: usize = 256;

type Count = Arc<AtomicUsize>;

/// One stream's place under the limits, for as long as it lives.
#[derive(Debug)]
pub struct Place(Vec<Count>);

impl Place {
    /// Under no limit.
    pub fn free() -> Place {
        Place(Vec::new())
    }

    /// Nothing where one of the counts has reached its limit.
    pub fn take(counts: &[(&Count, usize)]) -> Option<Place> {
        let mut place = Place(Vec::new());
        for (count, limit) in counts {
            place.0.push((*count).clone());
            if count.fetch_add(1, Ordering::SeqCst) >= *limit {
                return None; // gives back what was taken
            }
        }
        Some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[derive(Debug)]
pub enum Out {
    Inbound { protocol: StreamProtocol, stream: Stream, place: Place },
    Opened { op: u64, stream: Stream, place: Place },
    Failed { op: u64, code: u32, why: String },
}

#[derive(Debug)]
pub enum FromHandler {
    Inbound {
        protocol: StreamProtocol,
        stream: Stream,
    },
    Opened {
        op: u64,
        stream: Stream,
        place: Place,
    },
    /// The loop has the stream.
    Delivered {
        op: u64,
    },
    Failed {
        op: u64,
        code: u32,
        why: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    Loop,
    Network,
}

#[derive(Debug)]
pub struct Opening {
    op: u64,
    whom: For,
    place: Place,
}

#[derive(Debug)]
pub struct Open {
    protocol: StreamProtocol,
    opening: Opening,
}

#[derive(Default)]
struct Peer {
    connections: Vec<(ConnectionId, Count)>, // with the outbound streams of each
    direct: usize,                           // so many; they are before those through a relay
    inbound: Count,
}

pub struct Behaviour {
    protocols: Arc<[StreamProtocol]>,
    peers: HashMap<PeerId, Peer>,
    inbound: Count,
    live: Arc<Live>,
    in_flight: HashMap<u64, ConnectionId>, // to be failed if their connection goes
    todo: VecDeque<ToSwarm<(PeerId, ConnectionId, Out), Open>>,
}

impl Behaviour {
    pub fn new(protocols: Vec<StreamProtocol>, live: Arc<Live>) -> Self {
        Behaviour {
            protocols: protocols.into(),
            peers: HashMap::new(),
            inbound: Count::default(),
            live,
            in_flight: HashMap::new(),
            todo: VecDeque::new(),
        }
    }

    /// On the oldest connection to that peer, of direct ones if there are any.
    pub fn open(
        &mut self,
        op: u64,
        peer: PeerId,
        protocol: StreamProtocol,
        whom: For,
    ) -> Result<(), u32> {
        let known = self.peers.get(&peer).and_then(|p| p.connections.first());
        let (connection, streams) = known.ok_or(code::NOT_CONNECTED)?;
        let place = Place::take(&[(streams, MAX_OUTBOUND_A_CONNECTION)]).ok_or(code::OVERLOADED)?;
        self.in_flight.insert(op, *connection);
        self.todo.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(*connection),
            event: Open { protocol, opening: Opening { op, whom, place } },
        });
        Ok(())
    }

    fn handler(&self, connection: ConnectionId) -> Handler {
        self.live.begin(connection);
        let (protocols, live) = (self.protocols.clone(), self.live.clone());
        Handler { protocols, live, connection, todo: VecDeque::new() }
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(p) = self.peers.get_mut(&peer) {
            if let Some(index) = p.connections.iter().position(|(id, _)| *id == connection) {
                p.connections.remove(index);
                p.direct -= usize::from(index < p.direct);
            }
            if p.connections.is_empty() {
                self.peers.remove(&peer);
            }
        }
        for (op, _) in self.in_flight.extract_if(|_, id| *id == connection) {
            let why = "the connection closed".to_string();
            let out = Out::Failed { op, code: code::NOT_CONNECTED, why };
            self.todo.push_back(ToSwarm::GenerateEvent((peer, connection, out)));
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = (PeerId, ConnectionId, Out);

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(connection))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(connection))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(e) => {
                let peer = self.peers.entry(e.peer_id).or_default();
                let connection = (e.connection_id, Count::default());
                if e.endpoint.is_relayed() {
                    peer.connections.push(connection);
                } else {
                    peer.connections.insert(peer.direct, connection);
                    peer.direct += 1;
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.closed(peer_id, connection_id);
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.live.lose(connection_id); // refused after its handler was made
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let out = match event {
            FromHandler::Inbound { protocol, stream } => {
                let Some(known) = self.peers.get(&peer) else { return };
                let counts = [(&self.inbound, MAX_INBOUND), (&known.inbound, MAX_INBOUND_A_PEER)];
                // Dropped, the surplus one is reset.
                let Some(place) = Place::take(&counts) else { return };
                Out::Inbound { protocol, stream, place }
            }
            FromHandler::Opened { op, stream, place } => {
                if self.in_flight.remove(&op).is_none() {
                    return;
                }
                Out::Opened { op, stream, place }
            }
            FromHandler::Delivered { op } => {
                self.in_flight.remove(&op);
                return;
            }
            FromHandler::Failed { op, code, why } => {
                if self.in_flight.remove(&op).is_none() {
                    return;
                }
                Out::Failed { op, code, why }
            }
        };
        self.todo.push_back(ToSwarm::GenerateEvent((peer, connection, out)));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.todo.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

pub struct Handler {
    protocols: Arc<[StreamProtocol]>,
    live: Arc<Live>,
    connection: ConnectionId,
    todo: VecDeque<ConnectionHandlerEvent<Upgrade, Opening, FromHandler>>,
}

impl Handler {
    fn opened(&self, opening: Opening, stream: Stream) -> FromHandler {
        let Opening { op, whom, place } = opening;
        if whom == For::Network {
            return FromHandler::Opened { op, stream, place };
        }
        if self.live.deliver(op, self.connection, stream, place) {
            return FromHandler::Delivered { op };
        }
        let why = "the connection closed".to_string();
        FromHandler::Failed { op, code: code::NOT_CONNECTED, why }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = FromHandler;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opening;

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        SubstreamProtocol::new(Upgrade(self.protocols.to_vec()), ())
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.todo.push_back(ConnectionHandlerEvent::OutboundSubstreamRequest {
            protocol: SubstreamProtocol::new(Upgrade(vec![open.protocol]), open.opening),
        });
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Upgrade, Opening, FromHandler>> {
        self.todo.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Upgrade, Upgrade, (), Opening>) {
        let out = match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) => FromHandler::Inbound { protocol, stream },
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, _),
                info,
            }) => self.opened(info, stream),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, info }) => {
                let code = match &error {
                    StreamUpgradeError::NegotiationFailed => code::UNSUPPORTED,
                    _ => code::NOT_CONNECTED,
                };
                FromHandler::Failed { op: info.op, code, why: error.to_string() }
            }
            _ => return,
        };
        self.todo.push_back(ConnectionHandlerEvent::NotifyBehaviour(out));
    }
}

#[derive(Debug)]
pub struct Upgrade(Vec<StreamProtocol>);

impl UpgradeInfo for Upgrade {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;
    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Upgrade {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;
    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Upgrade {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;
    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_end_with_what_held_them() {
        let (all, peer) = (Count::default(), Count::default());
        let take = || Place::take(&[(&all, 3), (&peer, 2)]);
        let held: Vec<_> = [take(), take()].into_iter().flatten().collect();
        assert_eq!(held.len(), 2);
        assert!(take().is_none(), "the peer's limit");
        assert_eq!(all.load(Ordering::SeqCst), 2, "a refused one takes no place");
        drop(held);
        assert_eq!(all.load(Ordering::SeqCst) + peer.load(Ordering::SeqCst), 0);
        assert!(take().is_some());
    }
}
