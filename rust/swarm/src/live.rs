//! The connections to each peer and the streams that each has, which end with it: yamux does not
//! wake the streams of a connection that we close. Streams are asked for and come between the loop
//! and a connection's own task: the network's thread has nothing to do with it.

use crate::code;
use crate::inbox::{Event, Inbox, Kind};
use crate::stream::{Control, Raw, WwStream};
use crate::streams::{
    Count, MAX_INBOUND, MAX_INBOUND_A_PEER, MAX_OUTBOUND_A_CONNECTION, Open, Opening, Place, Whom,
};
use crate::task::{self, Watched};
use futures::task::AtomicWaker;
use libp2p::core::ConnectedPoint;
use libp2p::core::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, StreamProtocol};
use libp2p::{Multiaddr, PeerId};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Context;

/// What a connection's task is to open, and that task.
#[derive(Default)]
pub struct Requests {
    queue: Mutex<VecDeque<Open>>,
    waker: AtomicWaker,
    task: OnceLock<Watched>,
}

impl Requests {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Open>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, open: Open) {
        self.queue().push_back(open);
        self.waker.wake();
    }

    /// Within the task. None: it is woken for the next.
    pub fn next(&self, cx: &mut Context<'_>) -> Option<Open> {
        if self.task.get().is_none()
            && let Some(task) = task::current()
        {
            let _ = self.task.set(task);
        }
        self.waker.register(cx.waker());
        self.queue().pop_front()
    }

    fn take_heard(&self) -> bool {
        self.task.get().is_some_and(Watched::take_heard)
    }

    /// Ends a connection that is closing, and cannot for its peer.
    pub fn give_up(&self) {
        if let Some(task) = self.task.get() {
            task.give_up();
        }
    }
}

/// The number of no operation: the loop counts them from 1.
const NOBODYS: u64 = 0;

/// Who is at the other end of an established connection.
struct Met {
    peer: PeerId,
    address: Multiaddr,
    relayed: bool,
}

#[derive(Default)]
struct Connection {
    met: Option<Met>,
    streams: Vec<Weak<Control>>,
    outbound: Count,
    opening: HashSet<u64>,
    requests: Arc<Requests>,
}

impl Connection {
    fn is_used(&self) -> bool {
        self.streams.iter().any(|control| control.strong_count() > 0)
    }

    fn wrap(
        &mut self,
        stream: impl Raw + 'static,
        inbox: &Arc<Inbox>,
        place: Place,
    ) -> Box<WwStream> {
        let stream = WwStream::new(Box::new(stream), false, inbox, place);
        if self.streams.len() == self.streams.capacity() {
            self.streams.retain(|control| control.strong_count() > 0); // amortized
        }
        self.streams.push(Arc::downgrade(&stream.control));
        stream
    }
}

#[derive(Default)]
struct Peer {
    connections: Vec<ConnectionId>, // by age
    inbound: Count,
}

#[derive(Default)]
struct Table {
    connections: HashMap<ConnectionId, Connection>,
    peers: HashMap<PeerId, Peer>,
    inbound: Count,                    // streams
    protected: HashMap<PeerId, usize>, // so many connections
}

impl Table {
    /// Those with streams come first, which are what a peer is protected for, and then the oldest.
    fn is_protected(&self, peer: &PeerId, connection: ConnectionId) -> bool {
        let Some(times) = self.protected.get(peer) else { return false };
        let all = self.peers.get(peer).map_or(&[][..], |known| &known.connections);
        let has_streams =
            |id: &&ConnectionId| self.connections.get(id).is_some_and(|c| c.is_used());
        let used = all.iter().filter(has_streams);
        let idle = all.iter().filter(|id| !has_streams(id));
        used.chain(idle).take(*times).any(|other| *other == connection)
    }
}

/// What is left of a connection that is lost.
pub struct Lost {
    pub peer: Option<PeerId>, // none where nobody was known to be there yet
    pub requests: Arc<Requests>,
}

pub struct Live {
    inbox: Arc<Inbox>,
    table: Mutex<Table>,
}

impl Live {
    pub fn new(inbox: Arc<Inbox>) -> Arc<Self> {
        Arc::new(Live { inbox, table: Default::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(&self, connection: ConnectionId) -> Arc<Requests> {
        self.table().connections.entry(connection).or_default().requests.clone()
    }

    pub fn established(&self, peer: PeerId, connection: ConnectionId, at: &ConnectedPoint) {
        let mut table = self.table();
        let Some(known) = table.connections.get_mut(&connection) else { return };
        let (address, relayed) = (at.get_remote_address().clone(), at.is_relayed());
        known.met = Some(Met { peer, address, relayed });
        table.peers.entry(peer).or_default().connections.push(connection);
    }

    /// On the oldest connection to that peer, of direct ones if there are any. Its outcome is
    /// pushed as a DONE, unless this fails.
    pub fn open(
        &self,
        op: u64,
        peer: PeerId,
        protocol: StreamProtocol,
        whom: Whom,
    ) -> Result<(), (u32, &'static str)> {
        let mut table = self.table();
        let Table { connections, peers, .. } = &mut *table;
        let all = peers.get(&peer).map_or(&[][..], |known| &known.connections);
        let is_direct = |c: &Connection| c.met.as_ref().is_some_and(|met| !met.relayed);
        let direct = all.iter().find(|id| connections.get(id).is_some_and(is_direct));
        let chosen = direct.or(all.first()).and_then(|id| connections.get_mut(id));
        let connection = chosen.ok_or((code::NOT_CONNECTED, "not connected"))?;
        let place = Place::take(&[(&connection.outbound, MAX_OUTBOUND_A_CONNECTION)])
            .ok_or((code::OVERLOADED, "streams"))?;
        connection.opening.insert(op);
        let requests = connection.requests.clone();
        drop(table);
        requests.push(Open { protocol, opening: Opening { op, whom, place } });
        Ok(())
    }

    /// Whether all that the peer says is read from a socket of this connection's own.
    pub fn is_heard(&self, connection: ConnectionId) -> bool {
        let table = self.table();
        let met = table.connections.get(&connection).and_then(|c| c.met.as_ref());
        met.is_some_and(|met| {
            !met.relayed && met.address.iter().any(|part| matches!(part, Protocol::Tcp(_)))
        })
    }

    /// Asks for a stream that nobody wants: whatever the peer says to that, it says something.
    pub fn ask(&self, connection: ConnectionId, protocol: StreamProtocol) {
        let table = self.table();
        let Some(known) = table.connections.get(&connection) else { return };
        let requests = known.requests.clone();
        drop(table);
        let opening = Opening { op: NOBODYS, whom: Whom::Network, place: Place::free() };
        requests.push(Open { protocol, opening });
    }

    /// False: nobody waits for it any more.
    pub fn settle(&self, op: u64, connection: ConnectionId) -> bool {
        let mut table = self.table();
        table.connections.get_mut(&connection).is_some_and(|c| c.opening.remove(&op))
    }

    pub fn fail(&self, op: u64, connection: ConnectionId, code: u32, why: impl ToString) {
        if self.settle(op, connection) {
            self.inbox.push(Event::failure(op, code, why));
        }
    }

    /// Hands a stream that the peer opened to the loop; one above the limits is reset.
    pub fn inbound(
        &self,
        connection: ConnectionId,
        protocol: &StreamProtocol,
        stream: impl Raw + 'static,
    ) {
        let mut table = self.table();
        let Table { connections, peers, inbound, .. } = &mut *table;
        let Some(known) = connections.get_mut(&connection) else { return };
        let Some(Met { peer, address, .. }) = &known.met else { return };
        let Some(of_peer) = peers.get(peer).map(|peer| &peer.inbound) else { return };
        let counts = [(&*inbound, MAX_INBOUND), (of_peer, MAX_INBOUND_A_PEER)];
        let Some(place) = Place::take(&counts) else { return };
        let mut event = Event::new(Kind::Inbound, 0);
        event.peer = peer.to_bytes();
        event.text = protocol.as_ref().as_bytes().to_vec();
        event.from = address.to_string().into_bytes();
        let stream = known.wrap(stream, &self.inbox, place);
        event.id = stream.id;
        event.stream = Some(stream);
        drop(table);
        self.inbox.push(event);
    }

    /// Hands an opened stream to the loop, from the thread that opened it.
    pub fn deliver(
        &self,
        op: u64,
        connection: ConnectionId,
        stream: impl Raw + 'static,
        place: Place,
    ) {
        let mut table = self.table();
        let Some(known) = table.connections.get_mut(&connection) else { return };
        if !known.opening.remove(&op) {
            return;
        }
        let mut event = Event::new(Kind::Done, op);
        event.stream = Some(known.wrap(stream, &self.inbox, place));
        drop(table);
        self.inbox.push(event);
    }

    /// Ends the streams of a connection at once, and those that are being opened, without waiting
    /// for it to have closed. It gets no more. None if it is lost already.
    pub fn lose(&self, connection: ConnectionId) -> Option<Lost> {
        let mut table = self.table();
        let lost = table.connections.remove(&connection)?;
        let peer = lost.met.map(|met| met.peer);
        if let Some(peer) = peer
            && let Some(known) = table.peers.get_mut(&peer)
        {
            known.connections.retain(|other| *other != connection);
            if known.connections.is_empty() {
                table.peers.remove(&peer);
            }
        }
        drop(table);
        for control in lost.streams {
            if let Some(control) = control.upgrade() {
                control.lose();
            }
        }
        for op in lost.opening {
            let why = "the connection closed";
            self.inbox.push(Event::failure(op, code::NOT_CONNECTED, why));
        }
        Some(Lost { peer, requests: lost.requests })
    }

    /// Whether something came from there since this was asked last.
    pub fn take_heard(&self, connection: ConnectionId) -> bool {
        let table = self.table();
        table.connections.get(&connection).is_some_and(|c| c.requests.take_heard())
    }

    /// One connection of this peer makes room for none, until `unprotect`: one more each time.
    pub fn protect(&self, peer: PeerId) {
        *self.table().protected.entry(peer).or_default() += 1;
    }

    pub fn unprotect(&self, peer: PeerId) {
        if let Entry::Occupied(mut times) = self.table().protected.entry(peer) {
            *times.get_mut() -= 1;
            if *times.get() == 0 {
                times.remove();
            }
        }
    }

    /// Whether nobody here would miss it: it is not protected, and no stream of ours is on it.
    pub fn is_spare(&self, connection: ConnectionId) -> bool {
        let table = self.table();
        let Some(known) = table.connections.get(&connection) else { return false };
        let is_protected = |met: &Met| table.is_protected(&met.peer, connection);
        !known.met.as_ref().is_some_and(is_protected) && known.outbound.load(Ordering::SeqCst) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use std::task::Waker;

    const ECHO: StreamProtocol = StreamProtocol::new("/test/echo");

    fn at(text: &str) -> ConnectedPoint {
        let send_back_addr: Multiaddr = text.parse().unwrap();
        ConnectedPoint::Listener { local_addr: send_back_addr.clone(), send_back_addr }
    }

    fn next(requests: &Requests) -> Option<u64> {
        requests.next(&mut Context::from_waker(Waker::noop())).map(|open| open.opening.op)
    }

    #[test]
    fn a_direct_connection_goes_before_a_relayed_one() {
        let live = Live::new(Inbox::unheard());
        let peer = PeerId::random();
        let [relayed, direct] = [1, 2].map(ConnectionId::new_unchecked);
        let requests = [relayed, direct].map(|id| live.begin(id));
        let open = |op| live.open(op, peer, ECHO, Whom::Loop);
        assert_eq!(open(1), Err((code::NOT_CONNECTED, "not connected")));
        live.established(peer, relayed, &at("/ip4/192.0.2.1/tcp/1/p2p-circuit"));
        open(2).unwrap();
        live.established(peer, direct, &at("/ip4/192.0.2.1/tcp/1"));
        open(3).unwrap();
        live.lose(direct);
        open(4).unwrap();
        assert_eq!(
            [next(&requests[0]), next(&requests[0]), next(&requests[0])],
            [Some(2), Some(4), None]
        );
        assert_eq!(next(&requests[1]), Some(3));
    }

    #[test]
    fn what_is_being_opened_ends_with_its_connection() {
        let inbox = Inbox::unheard();
        let live = Live::new(inbox.clone());
        let (peer, id) = (PeerId::random(), ConnectionId::new_unchecked(1));
        live.begin(id);
        live.established(peer, id, &at("/ip4/192.0.2.1/tcp/1"));
        for op in 1..=3 {
            live.open(op, peer, ECHO, Whom::Loop).unwrap();
        }
        live.fail(1, id, code::UNSUPPORTED, "no");
        assert!(live.settle(2, id) && !live.settle(2, id));
        assert!(live.lose(id).is_some_and(|lost| lost.peer == Some(peer)));
        assert!(live.lose(id).is_none());
        live.fail(3, id, code::FAILED, "late");
        let told: Vec<_> = inbox.take().iter().map(|event| (event.id, event.code)).collect();
        assert_eq!(told, [(1, code::UNSUPPORTED), (3, code::NOT_CONNECTED)]);
        assert!(live.open(4, peer, ECHO, Whom::Loop).is_err());
    }

    #[test]
    fn a_connection_is_spare_unless_its_peer_is_protected_or_we_use_it() {
        let live = Live::new(Inbox::unheard());
        let (peer, id) = (PeerId::random(), ConnectionId::new_unchecked(1));
        assert!(!live.is_spare(id), "there is none");
        let requests = live.begin(id);
        live.established(peer, id, &at("/ip4/192.0.2.1/tcp/1"));
        assert!(live.is_spare(id));
        live.inbound(id, &ECHO, Cursor::new(Vec::new()));
        assert!(live.is_spare(id), "that it opened something is no merit");
        live.protect(peer);
        live.protect(peer);
        live.unprotect(peer);
        live.unprotect(PeerId::random());
        assert!(!live.is_spare(id));
        live.unprotect(peer);
        assert!(live.is_spare(id) && live.table().protected.is_empty());
        live.open(1, peer, ECHO, Whom::Loop).unwrap();
        assert!(!live.is_spare(id));
        next(&requests);
        assert!(live.is_spare(id));
    }

    #[test]
    fn a_peer_has_as_many_connections_protected_as_it_was_protected_for() {
        let live = Live::new(Inbox::unheard());
        let peer = PeerId::random();
        let ids: Vec<_> = (0..3).map(ConnectionId::new_unchecked).collect();
        for id in &ids {
            live.begin(*id);
            live.established(peer, *id, &at("/ip4/192.0.2.1/tcp/1"));
        }
        let spare = || ids.iter().map(|id| live.is_spare(*id)).collect::<Vec<_>>();
        live.protect(peer);
        assert_eq!(spare(), [false, true, true], "the oldest");
        live.inbound(ids[2], &ECHO, Cursor::new(Vec::new()));
        assert_eq!(spare(), [true, true, false], "but rather one that is used");
        live.protect(peer);
        assert_eq!(spare(), [false, true, false]);
    }

    #[test]
    fn so_many_streams_a_connection() {
        let live = Live::new(Inbox::unheard());
        let (peer, id) = (PeerId::random(), ConnectionId::new_unchecked(1));
        let requests = live.begin(id);
        live.established(peer, id, &at("/ip4/192.0.2.1/tcp/1"));
        for op in 0..MAX_OUTBOUND_A_CONNECTION as u64 {
            live.open(op, peer, ECHO, Whom::Loop).unwrap();
        }
        let more = || live.open(1000, peer, ECHO, Whom::Loop);
        assert_eq!(more(), Err((code::OVERLOADED, "streams")));
        next(&requests); // and its place is given back
        assert_eq!(more(), Ok(()));
    }

    #[test]
    fn a_peer_has_so_many_streams_here_and_the_surplus_is_reset() {
        let inbox = Inbox::unheard();
        let live = Live::new(inbox.clone());
        let (peer, id) = (PeerId::random(), ConnectionId::new_unchecked(1));
        let come = || live.inbound(id, &ECHO, Cursor::new(Vec::new()));
        live.begin(id);
        come();
        assert!(inbox.take().is_empty(), "nobody is known to be there");
        live.established(peer, id, &at("/ip4/192.0.2.1/tcp/1"));
        (0..MAX_INBOUND_A_PEER + 5).for_each(|_| come());
        let mut held = inbox.take();
        assert_eq!(held.len(), MAX_INBOUND_A_PEER);
        let first = held.pop_front().unwrap();
        assert_eq!((&first.peer, &first.text[..]), (&peer.to_bytes(), ECHO.as_ref().as_bytes()));
        assert_eq!(first.from, b"/ip4/192.0.2.1/tcp/1");
        drop(first);
        come();
        assert_eq!(inbox.take().len(), 1, "a place that was given back");
    }
}
