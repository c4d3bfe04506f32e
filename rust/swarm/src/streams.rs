//! Raw streams on named protocols, under limits: so many inbound ones in all and a peer, the
//! surplus reset, and so many outbound ones a connection, so that the opener stays below the
//! muxer's limit, which would end the connection.

use crate::code;
use crate::live::{Live, Requests};
use libp2p::PeerId;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr, transport::PortUse};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId,
    DialFailure, FromSwarm, ListenFailure, NetworkBehaviour, Stream, StreamProtocol,
    StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

pub const MAX_INBOUND: usize = 1024;
pub const MAX_INBOUND_A_PEER: usize = 256;
pub const MAX_OUTBOUND_A_CONNECTION: usize = 256;

pub type Count = Arc<AtomicUsize>;

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

/// A stream that was opened for the network's own use.
#[derive(Debug)]
pub struct Opened {
    pub op: u64,
    pub stream: Stream,
    pub place: Place,
}

/// Who is to have a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Loop,
    Network,
}

#[derive(Debug)]
pub struct Opening {
    pub op: u64,
    pub whom: Whom,
    pub place: Place,
}

#[derive(Debug)]
pub struct Open {
    pub protocol: StreamProtocol,
    pub opening: Opening,
}

pub struct Behaviour {
    protocols: Arc<[StreamProtocol]>,
    live: Arc<Live>,
    todo: VecDeque<Opened>,
}

impl Behaviour {
    pub fn new(protocols: Vec<StreamProtocol>, live: Arc<Live>) -> Self {
        Behaviour { protocols: protocols.into(), live, todo: VecDeque::new() }
    }

    fn handler(&self, connection: ConnectionId) -> Handler {
        let (protocols, live) = (self.protocols.clone(), self.live.clone());
        let requests = live.begin(connection);
        Handler { protocols, live, requests, connection, todo: VecDeque::new() }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Opened;

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
                self.live.established(e.peer_id, e.connection_id, e.endpoint);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.live.lose(connection_id); // or refused after its handler was made
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        opened: THandlerOutEvent<Self>,
    ) {
        self.todo.push_back(opened);
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.todo
            .pop_front()
            .map_or(Poll::Pending, |opened| Poll::Ready(ToSwarm::GenerateEvent(opened)))
    }
}

pub struct Handler {
    protocols: Arc<[StreamProtocol]>,
    live: Arc<Live>,
    requests: Arc<Requests>,
    connection: ConnectionId,
    todo: VecDeque<Opened>,
}

impl Handler {
    fn opened(&mut self, opening: Opening, stream: Stream) {
        let Opening { op, whom, place } = opening;
        match whom {
            Whom::Loop => self.live.deliver(op, self.connection, stream, place),
            Whom::Network if self.live.settle(op, self.connection) => {
                self.todo.push_back(Opened { op, stream, place });
            }
            Whom::Network => {}
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Opened;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opening;

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        SubstreamProtocol::new(Upgrade(self.protocols.to_vec()), ())
    }

    fn on_behaviour_event(&mut self, never: Infallible) {
        match never {}
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Upgrade, Opening, Opened>> {
        if let Some(opened) = self.todo.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(opened));
        }
        let Some(Open { protocol, opening }) = self.requests.next(cx) else { return Poll::Pending };
        let protocol = SubstreamProtocol::new(Upgrade(vec![protocol]), opening);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Upgrade, Upgrade, (), Opening>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) => self.live.inbound(self.connection, &protocol, stream),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, _),
                info,
            }) => self.opened(info, stream),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, info }) => {
                let code = match &error {
                    StreamUpgradeError::NegotiationFailed => code::UNSUPPORTED,
                    _ => code::NOT_CONNECTED,
                };
                self.live.fail(info.op, self.connection, code, error);
            }
            _ => {}
        }
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
